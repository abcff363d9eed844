//! Convolutions over activations whose channels lie innermost: Conv2d, Conv3d, DepthWiseConv2d,
//! TransposeConv2d.

use super::fixed::Channel;
use super::scheme::{with_scheme, Numbers, Scheme};
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
            let ([oz, oy, ox], [kz, ky, kx], index) = (self.output, self.tap, self.index);
            self.index = index.wrapping_add(1);
            self.tap[2] = kx.wrapping_add(1);
            if self.tap[2] >= width.window {
                (self.tap[1], self.tap[2]) = (ky.wrapping_add(1), 0);
            }
            if self.tap[1] >= height.window {
                (self.tap[0], self.tap[1]) = (kz.wrapping_add(1), 0);
            }
            let (iz, iy, ix) =
                (depth.element(oz, kz), height.element(oy, ky), width.element(ox, kx));
            if let (Some(iz), Some(iy), Some(ix)) = (iz, iy, ix) {
                let line = iz.wrapping_mul(height.input).wrapping_add(iy);
                return Some((index, line.wrapping_mul(width.input).wrapping_add(ix)));
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
    with_scheme!(op.numbers, scheme => typed(scheme, op, channels, x, w, out))
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
        // Weights of a tap, their rows, and where this group's begin.
        let (rows_all, row, first_row, column) = match op.weights {
            Weights::Columns => (op.group_inputs, op.outputs, 0, output),
            Weights::Rows => {
                let group = first_input.checked_div(op.group_inputs)?;
                let before = group.wrapping_mul(op.group_outputs);
                (op.inputs, op.group_outputs, first_input, output.wrapping_sub(before))
            }
        };
        let tap_weights = rows_all.wrapping_mul(row);
        let skipped = first_row.wrapping_mul(row);
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
