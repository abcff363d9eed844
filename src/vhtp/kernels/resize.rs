//! Resizing of NHWC images by nearest, linear or cubic interpolation.

use super::codec::Codec;
use super::function::remainder;

/// Where an output element lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Coordinates {
    /// `(x + 0.5) * input / output - 0.5`
    HalfPixel,
    /// The same, and 0 if the output has one element.
    PytorchHalfPixel,
    /// `x * (input - 1) / (output - 1)`
    AlignCorners,
    /// `x * input / output`
    Asymmetric,
}

/// Which neighbour is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Rounding {
    /// Halves down.
    PreferFloor,
    /// Halves up.
    PreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// How neighbours make an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::vhtp) enum Interpolation {
    /// One of them.
    Nearest(Rounding),
    /// Two along each axis.
    Linear,
    /// Four along each axis.
    Cubic {
        /// Coefficient of the convolution.
        coefficient: f64,
        /// Whether neighbours outside weigh nothing; otherwise the border repeats.
        exclude_outside: bool,
    },
}

/// A compiled resizing.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Resize {
    /// Coordinates.
    pub(in crate::vhtp) coordinates: Coordinates,
    /// Interpolation.
    pub(in crate::vhtp) interpolation: Interpolation,
    /// Height of input and output.
    pub(in crate::vhtp) height: [usize; 2],
    /// Width of input and output.
    pub(in crate::vhtp) width: [usize; 2],
    /// Images.
    pub(in crate::vhtp) batch: usize,
    /// Channels.
    pub(in crate::vhtp) channels: usize,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Neighbours along an axis: where and how much.
type Taps = [(usize, f64); 4];

/// Runs a resizing, in double precision.
pub(in crate::vhtp) fn resize(op: &Resize, x: &[u8], out: &mut [u8]) -> Option<()> {
    let ([in_height, out_height], [in_width, out_width]) = (op.height, op.width);
    let mut to = 0usize;
    for image in 0..op.batch {
        for oy in 0..out_height {
            let lines = op.taps(op.height, oy);
            for ox in 0..out_width {
                let columns = op.taps(op.width, ox);
                for channel in 0..op.channels {
                    let mut value = 0.0;
                    for &(y, line) in lines.iter().filter(|tap| tap.1 != 0.0) {
                        let first = image.wrapping_mul(in_height).wrapping_add(y);
                        let first = first.wrapping_mul(in_width);
                        for &(x_at, column) in columns.iter().filter(|tap| tap.1 != 0.0) {
                            let at = first.wrapping_add(x_at).wrapping_mul(op.channels);
                            value += line * column * op.from.load(x, at.wrapping_add(channel))?;
                        }
                    }
                    op.to.store(value, out, to)?;
                    to = to.wrapping_add(1);
                }
            }
        }
    }
    Some(())
}

impl Resize {
    /// Where output element `index` of an axis lies in the input.
    fn place(&self, [input, output]: [usize; 2], index: usize) -> f64 {
        let (x, from, to) = (index as f64, input as f64, output as f64);
        match self.coordinates {
            Coordinates::PytorchHalfPixel if output == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => {
                // One rounding: the product is exact.
                (2.0 * x + 1.0) * from / (2.0 * to) - 0.5
            }
            Coordinates::AlignCorners if output == 1 => 0.0,
            Coordinates::AlignCorners => x * (from - 1.0) / (to - 1.0),
            Coordinates::Asymmetric => x * from / to,
        }
    }

    fn taps(&self, axis: [usize; 2], index: usize) -> Taps {
        let place = self.place(axis, index);
        let last = axis[0].saturating_sub(1) as f64;
        // Conversions saturate, and the border repeats.
        let clamped = |place: f64| place.max(0.0).min(last) as usize;
        let mut taps = [(0, 0.0); 4];
        match self.interpolation {
            Interpolation::Nearest(rounding) => {
                let nearest = match rounding {
                    Rounding::PreferFloor => libm::ceil(place - 0.5),
                    Rounding::PreferCeil => libm::floor(place + 0.5),
                    Rounding::Floor => libm::floor(place),
                    Rounding::Ceil => libm::ceil(place),
                };
                taps[0] = (clamped(nearest), 1.0);
            }
            Interpolation::Linear => {
                let place = place.max(0.0).min(last);
                let below = libm::floor(place);
                let share = place - below;
                taps[0] = (clamped(below), 1.0 - share);
                taps[1] = (clamped(below + 1.0), share);
            }
            Interpolation::Cubic { coefficient, exclude_outside } => {
                let below = libm::floor(place);
                let mut position = below - 1.0;
                let mut sum = 0.0;
                for tap in &mut taps {
                    let inside = (0.0..=last).contains(&position);
                    let weight = match inside || !exclude_outside {
                        true => cubic(libm::fabs(place - position), coefficient),
                        false => 0.0,
                    };
                    *tap = (clamped(position), weight);
                    sum += weight;
                    position += 1.0;
                }
                taps.iter_mut().for_each(|tap| tap.1 /= sum);
            }
        }
        taps
    }
}

/// Weight of a neighbour at `distance`, up to 2 (Keys).
fn cubic(distance: f64, a: f64) -> f64 {
    let d = distance;
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    }
}

/// What lies outside of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Border {
    /// Zeros.
    Zeros,
    /// The border, repeated.
    Edge,
    /// The image, mirrored.
    Reflection,
}

/// A compiled GridSample.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct GridSample {
    /// Whether the nearest element is taken, or four are mixed.
    pub(in crate::vhtp) nearest: bool,
    /// What lies outside.
    pub(in crate::vhtp) border: Border,
    /// Whether -1 and 1 mean the centres of the border elements, or the border itself.
    pub(in crate::vhtp) align_corners: bool,
    /// Height of the image.
    pub(in crate::vhtp) height: usize,
    /// Width of the image.
    pub(in crate::vhtp) width: usize,
    /// Channels.
    pub(in crate::vhtp) channels: usize,
    /// Output elements of one image and channel.
    pub(in crate::vhtp) pixels: usize,
    /// Image.
    pub(in crate::vhtp) from: Codec,
    /// Grid.
    pub(in crate::vhtp) grid: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a GridSample, in double precision.
pub(in crate::vhtp) fn grid_sample(
    op: &GridSample,
    x: &[u8],
    grid: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let elements = out.len().checked_div(op.to.size())?;
    for pixel in 0..elements.checked_div(op.channels)? {
        let image = pixel.checked_div(op.pixels)?;
        let grid_at = pixel.wrapping_mul(2);
        let columns = op.taps(op.grid.load(grid, grid_at)?, op.width);
        let lines = op.taps(op.grid.load(grid, grid_at.wrapping_add(1))?, op.height);
        for channel in 0..op.channels {
            let mut value = 0.0;
            for (y, line) in lines {
                let first = image.wrapping_mul(op.height).wrapping_add(y).wrapping_mul(op.width);
                for (x_at, column) in columns {
                    let at = first.wrapping_add(x_at).wrapping_mul(op.channels);
                    value += line * column * op.from.load(x, at.wrapping_add(channel))?;
                }
            }
            op.to.store(value, out, pixel.wrapping_mul(op.channels).wrapping_add(channel))?;
        }
    }
    Some(())
}

impl GridSample {
    /// Neighbours along an axis of a place in -1 to 1; those in zeros weigh nothing.
    fn taps(&self, place: f64, extent: usize) -> [(usize, f64); 2] {
        let size = extent as f64;
        let place = match self.align_corners {
            true => (place + 1.0) / 2.0 * (size - 1.0),
            false => ((place + 1.0) * size - 1.0) / 2.0,
        };
        let place = match self.border {
            Border::Zeros => place,
            Border::Edge => place.max(0.0).min(size - 1.0),
            Border::Reflection => self.reflected(place, size),
        };
        let tap = |position: f64, weight: f64| match (0.0..size).contains(&position) {
            true => (position as usize, weight),
            false => (0, 0.0),
        };
        if self.nearest {
            return [tap(libm::rint(place), 1.0), (0, 0.0)];
        }
        let below = libm::floor(place);
        let share = place - below;
        [tap(below, 1.0 - share), tap(below + 1.0, share)]
    }

    /// A place mirrored into the image.
    fn reflected(&self, place: f64, size: f64) -> f64 {
        let (low, high) = match self.align_corners {
            true => (0.0, size - 1.0),
            false => (-0.5, size - 0.5),
        };
        let span = high - low;
        if span <= 0.0 {
            return 0.0;
        }
        let far = libm::fabs(remainder(place - low, 2.0 * span));
        let inside = low + if far > span { 2.0 * span - far } else { far };
        inside.max(0.0).min(size - 1.0)
    }
}
