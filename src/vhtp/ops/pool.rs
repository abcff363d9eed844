//! PoolMax2d and PoolAvg2d.

use super::check::{self, ensure, Format};
use super::convolution::window_steps;
use super::{Compiled, Refusal};
use crate::graph::Op;
use crate::vhtp::kernels::convolution::Axis;
use crate::vhtp::kernels::element::Unit;
use crate::vhtp::kernels::fixed::Multiplier;
use crate::vhtp::kernels::pool::{Pool, PoolKind};

const MAX_PARAMS: [&str; 4] = ["filter_size", "stride", "pad_amount", "rounding_mode"];
const AVERAGE_PARAMS: [&str; 5] =
    ["filter_size", "stride", "pad_amount", "rounding_mode", "count_pad_for_edges"];

pub(super) fn compile(op: &Op<'_>, average: bool) -> Result<Compiled, Refusal> {
    check::only_params(op, if average { &AVERAGE_PARAMS } else { &MAX_PARAMS })?;
    let (x, out) = check::unary(op)?;
    let [batch, in_height, in_width, channels] = check::shape_4d(&x)?;
    let [out_batch, out_height, out_width, out_channels] = check::shape_4d(&out)?;
    ensure(batch == out_batch && channels == out_channels)?;
    let [window_y, window_x] = check::extents(op, "filter_size", None)?;
    let [stride_y, stride_x] = check::extents(op, "stride", None)?;
    let [top, bottom, left, right] = check::extents(op, "pad_amount", None)?;
    let round_up = match check::scalar(op, "rounding_mode", 0)? {
        0 => false,
        1 => true,
        _ => return Err(Refusal::Invalid),
    };
    let height = axis(in_height, out_height, window_y, stride_y, [top, bottom], round_up)?;
    let width = axis(in_width, out_width, window_x, stride_x, [left, right], round_up)?;
    let taps = window_y.checked_mul(window_x).filter(|&taps| taps <= 1 << 24);
    let taps = u32::try_from(taps.ok_or(Refusal::Invalid)?).map_err(|_| Refusal::Invalid)?;
    // A square of even extent is halved in both directions; other means are sums of products.
    let halved = window_y == window_x && window_y & 1 == 0;
    let unit = if halved { Unit::Vector } else { Unit::Matrix };
    let kind = kind(op, average, taps, unit)?;
    Ok(Compiled::Pool(Pool { height, width, channels, kind }))
}

fn kind(op: &Op<'_>, average: bool, taps: u32, unit: Unit) -> Result<PoolKind, Refusal> {
    let (x, out) = check::unary(op)?;
    let count_padding = check::flag(op, "count_pad_for_edges")?;
    match (check::format(&x)?, check::format(&out)?, average) {
        (Format::Fixed(x), Format::Fixed(out), false) if x.element == out.element => {
            let factor = f64::from(x.scale) / f64::from(out.scale);
            Ok(PoolKind::Max {
                element: x.element,
                in_offset: x.offset,
                multiplier: Multiplier::new(factor).ok_or(Refusal::Invalid)?,
                out_offset: out.offset,
            })
        }
        (Format::Fixed(x), Format::Fixed(out), true) if x.element == out.element => {
            let (in_scale, out_scale) = (f64::from(x.scale), f64::from(out.scale));
            // The factor falls as the count grows: if both ends have a multiplier, all between have
            // one.
            for count in [1, taps] {
                let factor = in_scale / (out_scale * f64::from(count));
                Multiplier::new(factor).ok_or(Refusal::Invalid)?;
            }
            Ok(PoolKind::Average {
                element: x.element,
                in_offset: x.offset,
                in_scale,
                out_scale,
                out_offset: out.offset,
                count_padding,
            })
        }
        (Format::Real(x), Format::Real(out), false) if x == out => Ok(PoolKind::MaxFloat(x)),
        (Format::Real(element), Format::Real(out), true) if element == out => {
            Ok(PoolKind::AverageFloat { element, count_padding, unit })
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// A window axis of the right output extent, none of whose windows lies in the padding alone.
fn axis(
    input: usize,
    output: usize,
    window: usize,
    stride: usize,
    [pad_before, pad_after]: [usize; 2],
    round_up: bool,
) -> Result<Axis, Refusal> {
    let axis = Axis { input, output, window, stride, pad_before, pad_after, ..Axis::POINT };
    ensure(window_steps(&axis, round_up) == Some(output) && pad_before < window)?;
    let last = output.checked_sub(1).and_then(|steps| steps.checked_mul(stride));
    ensure(last.ok_or(Refusal::Invalid)? < input.saturating_add(pad_before))?;
    Ok(axis)
}
