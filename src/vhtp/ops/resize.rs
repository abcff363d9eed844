//! Resize, ResizeBilinear, ResizeNearestNeighbor and GridSample.

use super::check::{self, ensure};
use super::{Compiled, Refusal};
use crate::graph::Op;
use crate::vhtp::kernels::resize::{
    Border, Coordinates, GridSample, Interpolation, Resize, Rounding,
};

/// All modes by parameters. Images of `[batch, height, width, channels]`, or without a height.
pub(super) fn resize(op: &Op<'_>) -> Result<Compiled, Refusal> {
    let names = [
        "exclude_outside",
        "transformation_mode",
        "interpolation_mode",
        "nearest_mode",
        "cubic_coeff",
    ];
    check::only_params(op, &names)?;
    let coordinates = match check::scalar(op, "transformation_mode", 0)? {
        0 => Coordinates::HalfPixel,
        1 => Coordinates::PytorchHalfPixel,
        2 => Coordinates::AlignCorners,
        3 => Coordinates::Asymmetric,
        _ => return Err(Refusal::Invalid),
    };
    let rounding = match check::scalar(op, "nearest_mode", 0)? {
        0 => Rounding::PreferFloor,
        1 => Rounding::PreferCeil,
        2 => Rounding::Floor,
        3 => Rounding::Ceil,
        _ => return Err(Refusal::Invalid),
    };
    let exclude_outside = check::flag(op, "exclude_outside")?;
    let interpolation = match check::scalar(op, "interpolation_mode", 0)? {
        0 => Interpolation::Nearest(rounding),
        1 => Interpolation::Linear,
        2 => {
            let coefficient = check::real(op, "cubic_coeff", -0.75)?.into();
            Interpolation::Cubic { coefficient, exclude_outside }
        }
        _ => return Err(Refusal::Invalid),
    };
    compile(op, coordinates, interpolation)
}

fn coordinates(op: &Op<'_>) -> Result<Coordinates, Refusal> {
    match (check::flag(op, "align_corners")?, check::flag(op, "half_pixel_centers")?) {
        (true, true) => Err(Refusal::Invalid),
        (true, false) => Ok(Coordinates::AlignCorners),
        (false, true) => Ok(Coordinates::HalfPixel),
        (false, false) => Ok(Coordinates::Asymmetric),
    }
}

pub(super) fn bilinear(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["align_corners", "half_pixel_centers", "antialias"])?;
    if check::flag(op, "antialias")? {
        return Err(Refusal::Unsupported);
    }
    compile(op, coordinates(op)?, Interpolation::Linear)
}

pub(super) fn nearest(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["align_corners", "half_pixel_centers"])?;
    let coordinates = coordinates(op)?;
    let rounding = match coordinates {
        Coordinates::Asymmetric => Rounding::Floor,
        _ => Rounding::PreferCeil,
    };
    compile(op, coordinates, Interpolation::Nearest(rounding))
}

fn compile(
    op: &Op<'_>,
    coordinates: Coordinates,
    interpolation: Interpolation,
) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    ensure(x.rank() == out.rank())?;
    let (from, to) = check::codecs(&x, &out, false)?;
    let image = |shape: [usize; 6]| match x.rank() {
        3 => Ok([shape[0], 1, shape[1], shape[2]]),
        4 => Ok([shape[0], shape[1], shape[2], shape[3]]),
        _ => Err(Refusal::Unsupported),
    };
    let [batch, in_height, in_width, channels] = image(check::shape(&x)?)?;
    let [out_batch, out_height, out_width, out_channels] = image(check::shape(&out)?)?;
    ensure(batch == out_batch && channels == out_channels)?;
    Ok(Compiled::Resize(Resize {
        coordinates,
        interpolation,
        height: [in_height, out_height],
        width: [in_width, out_width],
        batch,
        channels,
        from,
        to,
    }))
}

/// Samples an image of `[batch, height, width, channels]` where a grid of `[batch, height, width,
/// 2]` says, x before y.
pub(super) fn grid_sample(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["align_corners", "mode", "padding_mode"])?;
    check::input_count(op, 2..=2)?;
    let (x, grid, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let [batch, height, width, channels] = check::shape_4d(&x)?;
    let [grid_batch, out_height, out_width, two] = check::shape_4d(&grid)?;
    ensure(grid_batch == batch && two == 2)?;
    ensure(check::shape_4d(&out)? == [batch, out_height, out_width, channels])?;
    let nearest = match check::scalar(op, "mode", 0)? {
        0 => false,
        1 => true,
        _ => return Err(Refusal::Invalid),
    };
    let border = match check::scalar(op, "padding_mode", 0)? {
        0 => Border::Zeros,
        1 => Border::Edge,
        2 => Border::Reflection,
        _ => return Err(Refusal::Invalid),
    };
    let (from, to) = check::codecs(&x, &out, false)?;
    Ok(Compiled::GridSample(GridSample {
        nearest,
        border,
        align_corners: check::flag(op, "align_corners")?,
        height,
        width,
        channels,
        pixels: out_height.saturating_mul(out_width),
        from,
        grid: check::real_codec(&grid)?,
        to,
    }))
}
