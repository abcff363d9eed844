//! Convolutions over activations whose channels lie innermost: Conv2d, Conv3d, DepthWiseConv2d,
//! TransposeConv2d.

use super::fixed::Channel;
use super::scheme::{with_scheme, Numbers, RealScheme, Scheme};
use super::tile::{Lying, Tile, COLUMNS, DEPTH, ROWS};
use super::{element, rows, rows_mut, run};

/// One spatial axis of a sliding window, in elements.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Axis {
    /// Extent of the input.
    pub(in crate::vhtp) input: usize,
    /// Extent of the output.
    pub(in crate::vhtp) output: usize,
    /// Taps of the window.
    pub(in crate::vhtp) window: usize,
    /// Distance of neighbouring windows.
    pub(in crate::vhtp) stride: usize,
    /// Distance of neighbouring taps.
    pub(in crate::vhtp) dilation: usize,
    /// Padding before the first element.
    pub(in crate::vhtp) pad_before: usize,
    /// Padding after the last element.
    pub(in crate::vhtp) pad_after: usize,
    /// Whether input and output change roles: the stride lies between outputs of neighbouring
    /// inputs, and the padding is cut off the output.
    pub(in crate::vhtp) transposed: bool,
}

impl Axis {
    /// An axis of one element.
    pub(in crate::vhtp) const POINT: Axis = Axis {
        input: 1,
        output: 1,
        window: 1,
        stride: 1,
        dilation: 1,
        pad_before: 0,
        pad_after: 0,
        transposed: false,
    };

    /// Input element under `tap` of window `output`; `None` in the padding.
    #[inline(always)]
    pub(in crate::vhtp) fn element(&self, output: usize, tap: usize) -> Option<usize> {
        if self.transposed {
            return self.transposed_element(output, tap);
        }
        let padded = output.wrapping_mul(self.stride).wrapping_add(tap.wrapping_mul(self.dilation));
        padded.checked_sub(self.pad_before).filter(|&element| element < self.input)
    }

    #[inline(never)]
    fn transposed_element(&self, output: usize, tap: usize) -> Option<usize> {
        let padded = output.wrapping_add(self.pad_before);
        let distance = padded.checked_sub(tap.wrapping_mul(self.dilation))?;
        let element = distance.checked_div(self.stride)?;
        let exact = element.wrapping_mul(self.stride) == distance;
        (exact && element < self.input).then_some(element)
    }

    /// Whether `tap` of window `output` lies in the input or its padding (a rounded-up last window
    /// may not).
    #[inline(always)]
    pub(in crate::vhtp) fn counts(&self, output: usize, tap: usize) -> bool {
        let padded = output.wrapping_mul(self.stride).wrapping_add(tap.wrapping_mul(self.dilation));
        let extent = self.input.wrapping_add(self.pad_before).wrapping_add(self.pad_after);
        padded < extent
    }
}

/// A compiled convolution.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Convolution {
    /// Number scheme.
    pub(in crate::vhtp) numbers: Numbers,
    /// Depth; a point in two dimensions.
    pub(in crate::vhtp) depth: Axis,
    /// Height.
    pub(in crate::vhtp) height: Axis,
    /// Width.
    pub(in crate::vhtp) width: Axis,
    /// Input channels.
    pub(in crate::vhtp) inputs: usize,
    /// Output channels.
    pub(in crate::vhtp) outputs: usize,
    /// Input channels of one group.
    pub(in crate::vhtp) group_inputs: usize,
    /// Output channels of one group.
    pub(in crate::vhtp) group_outputs: usize,
    /// Whether each group is a single channel (DepthWiseConv2d).
    pub(in crate::vhtp) depthwise: bool,
    /// How the weights of one tap lie.
    pub(in crate::vhtp) weights: Weights,
}

/// How the weights of one tap lie: as rows of output channels, one for each input channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Weights {
    /// `[inputs / groups, outputs]`: a group has a part of each row.
    Columns,
    /// `[inputs, outputs / groups]`: a group has rows of its own.
    Rows,
}

/// The taps of one window that lie in the input, in order.
struct Window<'a> {
    op: &'a Convolution,
    output: [usize; 3],
    tap: [usize; 3],
    index: usize,
}

impl<'a> Window<'a> {
    fn new(op: &'a Convolution, output: [usize; 3]) -> Self {
        Self { op, output, tap: [0; 3], index: 0 }
    }

    /// The next tap: which one it is, and the position under it. Not inlined, because it is the
    /// same for all schemes.
    #[inline(never)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let Convolution { depth, height, width, .. } = self.op;
        while self.tap[0] < depth.window {
            let (tap, index) = (self.tap, self.index);
            let [_, ky, kx] = tap;
            self.index = index.wrapping_add(1);
            self.tap[2] = kx.wrapping_add(1);
            if self.tap[2] >= width.window {
                (self.tap[1], self.tap[2]) = (ky.wrapping_add(1), 0);
            }
            if self.tap[1] >= height.window {
                (self.tap[0], self.tap[1]) = (tap[0].wrapping_add(1), 0);
            }
            if let Some(position) = self.op.position(self.output, tap) {
                return Some((index, position));
            }
        }
        None
    }
}

/// Runs a convolution.
pub(in crate::vhtp) fn convolution(
    op: &Convolution,
    channels: &[Channel],
    x: &[u8],
    w: &[u8],
    out: &mut [u8],
) -> Option<()> {
    with_scheme!(
        op.numbers,
        scheme => typed(scheme, op, channels, x, w, out),
        real => match op.depthwise || op.group_outputs < TILED_OUTPUTS_MIN {
            true => typed(real, op, channels, x, w, out),
            false => tiled(real, op, channels, x, w, out),
        }
    )
}

/// Output channels of a group from which on tiles of them pay off.
const TILED_OUTPUTS_MIN: usize = 8;

impl Convolution {
    /// Weights of one tap, how long their rows are, where those of the group begin that begins with
    /// `first_input`, and the place of `output`, a channel of it, in each row.
    fn weights_of(&self, first_input: usize, output: usize) -> Option<[usize; 4]> {
        let (rows_all, row, first_row, column) = match self.weights {
            Weights::Columns => (self.group_inputs, self.outputs, 0, output),
            Weights::Rows => {
                let group = first_input.checked_div(self.group_inputs)?;
                let before = group.wrapping_mul(self.group_outputs);
                (self.inputs, self.group_outputs, first_input, output.wrapping_sub(before))
            }
        };
        Some([rows_all.wrapping_mul(row), row, first_row.wrapping_mul(row), column])
    }

    /// The input position under a tap of the window at an output pixel; `None` in the padding.
    #[inline(always)]
    fn position(&self, [oz, oy, ox]: [usize; 3], [kz, ky, kx]: [usize; 3]) -> Option<usize> {
        let iz = self.depth.element(oz, kz)?;
        let line = iz.wrapping_mul(self.height.input).wrapping_add(self.height.element(oy, ky)?);
        Some(line.wrapping_mul(self.width.input).wrapping_add(self.width.element(ox, kx)?))
    }

    /// Place of an output pixel: depth, height, width.
    fn place(&self, pixel: usize) -> Option<[usize; 3]> {
        let line = pixel.checked_div(self.width.output)?;
        let ox = pixel.checked_rem(self.width.output)?;
        let (oz, oy) =
            (line.checked_div(self.height.output)?, line.checked_rem(self.height.output)?);
        Some([oz, oy, ox])
    }
}

/// A convolution in float16: tiles of several pixels and several output channels.
fn tiled<S: RealScheme>(
    scheme: S,
    op: &Convolution,
    channels: &[Channel],
    x: &[u8],
    w: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let (x, w) = (element::view::<S::X>(x)?, element::view::<S::W>(w)?);
    let out = element::view_mut::<S::X>(out)?;
    let line = op.width.input.wrapping_mul(op.inputs);
    let image = line.wrapping_mul(op.height.input).wrapping_mul(op.depth.input);
    let pixels_all = op.depth.output.wrapping_mul(op.height.output).wrapping_mul(op.width.output);
    let mut tile = Tile::new();
    for (x, out) in rows(x, image).zip(rows_mut(out, pixels_all.wrapping_mul(op.outputs))) {
        let mut rest = out;
        for first in (0..pixels_all).step_by(ROWS) {
            let count = ROWS.min(pixels_all.wrapping_sub(first));
            let mut places = [None; ROWS];
            for (pixel, place) in places.iter_mut().take(count).enumerate() {
                *place = Some(op.place(first.wrapping_add(pixel))?);
            }
            let patch = Patch { scheme, op, x, w, places };
            let (pixels, behind) =
                core::mem::take(&mut rest).split_at_mut_checked(count.wrapping_mul(op.outputs))?;
            rest = behind;
            for group in 0..op.outputs.checked_div(op.group_outputs)? {
                patch.group(&mut tile, group, channels, pixels)?;
            }
        }
    }
    Some(())
}

/// Some output pixels behind each other.
struct Patch<'a, S: Scheme> {
    scheme: S,
    op: &'a Convolution,
    x: &'a [S::X],
    w: &'a [S::W],
    places: [Option<[usize; 3]>; ROWS],
}

impl<S: RealScheme> Patch<'_, S> {
    /// The output channels of one group.
    fn group(
        &self,
        tile: &mut Tile,
        group: usize,
        channels: &[Channel],
        pixels: &mut [S::X],
    ) -> Option<()> {
        let size = self.op.group_outputs;
        let first_input = group.wrapping_mul(self.op.group_inputs);
        let first_output = group.wrapping_mul(size);
        for column in (0..size).step_by(COLUMNS) {
            let output = first_output.wrapping_add(column);
            let columns = COLUMNS.min(size.wrapping_sub(column));
            let channels = run(channels, output, columns)?;
            tile.start::<S>(channels);
            self.taps(tile, first_input, (output, columns))?;
            for (row, pixel) in rows_mut(pixels, self.op.outputs).enumerate() {
                let out = pixel.get_mut(output..)?.get_mut(..columns)?;
                tile.finish(self.scheme, row, channels, out)?;
            }
        }
        Some(())
    }

    /// Adds the products of all taps for `columns` output channels from `output` on.
    fn taps(
        &self,
        tile: &mut Tile,
        first_input: usize,
        (output, columns): (usize, usize),
    ) -> Option<()> {
        let (op, scheme) = (self.op, self.scheme);
        let [tap_weights, step, skipped, column] = op.weights_of(first_input, output)?;
        let mut tap_start = skipped.wrapping_add(column);
        for kz in 0..op.depth.window {
            for ky in 0..op.height.window {
                for kx in 0..op.width.window {
                    let positions = self.places.map(|place| op.position(place?, [kz, ky, kx]));
                    for k in (0..op.group_inputs).step_by(DEPTH) {
                        let extent = (DEPTH.min(op.group_inputs.wrapping_sub(k)), columns);
                        let start = k.wrapping_mul(step).wrapping_add(tap_start);
                        let weights = Lying { items: self.w, start, step, column: 1 };
                        tile.weigh(scheme, weights, extent)?;
                        for (row, position) in positions.iter().enumerate() {
                            let Some(position) = position else { continue };
                            let start = position.wrapping_mul(op.inputs);
                            let start = start.wrapping_add(first_input).wrapping_add(k);
                            let x = Lying { items: self.x, start, step: 1, column: 0 };
                            tile.add(scheme, row, x, extent)?;
                        }
                    }
                    tap_start = tap_start.wrapping_add(tap_weights);
                }
            }
        }
        Some(())
    }
}

fn typed<S: Scheme>(
    scheme: S,
    op: &Convolution,
    channels: &[Channel],
    x: &[u8],
    w: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let (x, w) = (element::view::<S::X>(x)?, element::view::<S::W>(w)?);
    let out = element::view_mut::<S::X>(out)?;
    let image = op.height.input.wrapping_mul(op.width.input).wrapping_mul(op.inputs);
    let mut pixels = rows_mut(out, op.outputs);
    for x in rows(x, image.wrapping_mul(op.depth.input)) {
        for oz in 0..op.depth.output {
            for oy in 0..op.height.output {
                for ox in 0..op.width.output {
                    let pixel = pixels.next()?;
                    let place = Place { scheme, op, x, w, oz, oy, ox };
                    match op.depthwise {
                        true => place.depthwise(channels, pixel),
                        false => place.groups(channels, pixel),
                    }?;
                }
            }
        }
    }
    Some(())
}

/// One output pixel.
#[derive(Clone, Copy)]
struct Place<'a, S: Scheme> {
    scheme: S,
    op: &'a Convolution,
    x: &'a [S::X],
    w: &'a [S::W],
    oz: usize,
    oy: usize,
    ox: usize,
}

impl<S: Scheme> Place<'_, S> {
    fn groups(self, channels: &[Channel], pixel: &mut [S::X]) -> Option<()> {
        let size = self.op.group_outputs;
        let groups = rows(channels, size).zip(rows_mut(pixel, size)).enumerate();
        for (group, (channels, pixel)) in groups {
            self.blocks(group, channels, pixel)?;
        }
        Some(())
    }

    /// The output channels of one group, as many at once as vectors like.
    fn blocks(self, group: usize, channels: &[Channel], pixel: &mut [S::X]) -> Option<()> {
        let first_input = group.wrapping_mul(self.op.group_inputs);
        let mut output = group.wrapping_mul(self.op.group_outputs);
        let (mut channels, mut pixel) = (channels, pixel);
        loop {
            let done = match pixel.len() {
                0 => return Some(()),
                32.. if S::LONG_BLOCKS => self.block::<32>(first_input, output, channels, pixel)?,
                16.. if S::LONG_BLOCKS => self.block::<16>(first_input, output, channels, pixel)?,
                8.. => self.block::<8>(first_input, output, channels, pixel)?,
                _ => self.block::<1>(first_input, output, channels, pixel)?,
            };
            output = output.wrapping_add(done);
            channels = channels.get(done..)?;
            pixel = core::mem::take(&mut pixel).get_mut(done..)?;
        }
    }

    /// `N` output channels from `output` on.
    #[inline(always)]
    fn block<const N: usize>(
        self,
        first_input: usize,
        output: usize,
        channels: &[Channel],
        pixel: &mut [S::X],
    ) -> Option<usize> {
        let op = self.op;
        let channels = channels.first_chunk::<N>()?;
        let mut sums = [S::ZERO; N];
        sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum = S::start(channel));
        let mut activations = S::ZERO;
        let [tap_weights, row, skipped, column] = op.weights_of(first_input, output)?;
        let mut window = Window::new(op, [self.oz, self.oy, self.ox]);
        while let Some((tap, position)) = window.next() {
            let weights =
                run(self.w, tap.wrapping_mul(tap_weights), tap_weights)?.get(skipped..)?;
            let start = position.wrapping_mul(op.inputs).wrapping_add(first_input);
            let x = run(self.x, start, op.group_inputs)?;
            for (x, weights) in x.iter().zip(rows(weights, row)) {
                let x = self.scheme.activation(*x);
                activations = S::add(activations, x);
                let weights = weights.get(column..)?.first_chunk::<N>()?;
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = S::multiply_add(*sum, x, self.scheme.weight(*weight));
                }
            }
        }
        let results = sums.iter().zip(channels);
        for (to, (sum, channel)) in pixel.iter_mut().zip(results) {
            *to = self.scheme.finish(*sum, activations, channel);
        }
        Some(N)
    }

    fn depthwise(self, channels: &[Channel], pixel: &mut [S::X]) -> Option<()> {
        let (mut channels, mut pixel, mut output) = (channels, pixel, 0usize);
        let single = self.op.group_outputs == 1;
        loop {
            let done = match pixel.len() {
                0 => return Some(()),
                16.. if single && S::LONG_BLOCKS => {
                    self.lanes::<16>(output, output, channels, pixel)?
                }
                4.. if single => self.lanes::<4>(output, output, channels, pixel)?,
                _ => {
                    let input = output.checked_div(self.op.group_outputs)?;
                    self.lanes::<1>(input, output, channels, pixel)?
                }
            };
            output = output.wrapping_add(done);
            channels = channels.get(done..)?;
            pixel = core::mem::take(&mut pixel).get_mut(done..)?;
        }
    }

    /// `N` output channels from `output` on, each of its own input channel from `input` on.
    #[inline(always)]
    fn lanes<const N: usize>(
        self,
        input: usize,
        output: usize,
        channels: &[Channel],
        pixel: &mut [S::X],
    ) -> Option<usize> {
        let op = self.op;
        let channels = channels.first_chunk::<N>()?;
        let mut sums = [(S::ZERO, S::ZERO); N];
        sums.iter_mut().zip(channels).for_each(|(sum, channel)| sum.0 = S::start(channel));
        let mut taps = rows(self.w, op.outputs);
        for ky in 0..op.height.window {
            let iy = op.height.element(self.oy, ky);
            for kx in 0..op.width.window {
                let weights = taps.next()?.get(output..)?.first_chunk::<N>()?;
                let (Some(iy), Some(ix)) = (iy, op.width.element(self.ox, kx)) else { continue };
                let position = iy.wrapping_mul(op.width.input).wrapping_add(ix);
                let start = position.wrapping_mul(op.inputs).wrapping_add(input);
                let x = self.x.get(start..)?.first_chunk::<N>()?;
                for ((sum, activations), (x, weight)) in sums.iter_mut().zip(x.iter().zip(weights))
                {
                    let x = self.scheme.activation(*x);
                    *sum = S::multiply_add(*sum, x, self.scheme.weight(*weight));
                    *activations = S::add(*activations, x);
                }
            }
        }
        let results = sums.iter().zip(channels);
        for (to, ((sum, activations), channel)) in pixel.iter_mut().zip(results) {
            *to = self.scheme.finish(*sum, *activations, channel);
        }
        Some(N)
    }
}
