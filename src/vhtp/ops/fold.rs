//! A Relu behind a convolution becomes part of it (GRAPH-005): the sums are rounded once, to the
//! steps of the Relu's result, and what lies outside its bounds is brought back.

use super::{elementwise, Extras, Refusal};
use crate::graph::{GraphTable, Op, Tensor, TensorKind};
use crate::vhtp::kernels::elementwise::Limit;

/// Ops that take a Relu in.
const CONVOLUTIONS: [&str; 5] =
    ["Conv2d", "Conv3d", "DepthWiseConv2d", "FullyConnected", "TransposeConv2d"];

/// What the device does in one go.
#[derive(Clone, Copy)]
pub(in crate::vhtp) struct Step<'a> {
    /// The op, writing what the Relu writes if there is one.
    pub(in crate::vhtp) op: Op<'a>,
    /// The Relu that it took in.
    pub(in crate::vhtp) relu: Option<Op<'a>>,
}

/// Marks each op that takes in the one behind it. Quadratic in the number of ops, at worst.
pub(in crate::vhtp) fn mark(table: &GraphTable<'_>, folds: &mut [bool]) {
    let next = table.ops().skip(1);
    for ((op, relu), fold) in table.ops().zip(next).zip(folds.iter_mut()) {
        *fold = fits(table, &op, &relu).is_some();
    }
}

/// The steps of a graph whose ops were marked.
pub(in crate::vhtp) fn steps<'a, 'f>(
    table: &GraphTable<'a>,
    folds: &'f [bool],
) -> impl Iterator<Item = Step<'a>> + use<'a, 'f> {
    let table = *table;
    let marked = move |index: usize| folds.get(index).copied().unwrap_or(false);
    let taken_in = move |op: &Op<'_>| op.index().checked_sub(1).is_some_and(marked);
    table.ops().filter(move |op| !taken_in(op)).map(move |op| {
        let behind = op.index().checked_add(1).filter(|_| marked(op.index()));
        match behind.and_then(|behind| table.op(behind)) {
            Some(relu) => Step { op: op.writing(&relu), relu: Some(relu) },
            None => Step { op, relu: None },
        }
    })
}

/// The bounds of a Relu in stored values of its result.
pub(in crate::vhtp) fn limit(relu: &Op<'_>) -> Result<Limit, Refusal> {
    let (low, high) = match relu.type_name() {
        "Relu" => (0.0, f32::INFINITY),
        _ => elementwise::bounds(relu)?,
    };
    elementwise::limit(&relu.outputs().at(0).ok_or(Refusal::Invalid)?, low, high)
}

/// Largest finite number of half precision.
const HALF_MAX: f32 = 65_504.0;

/// The finite numbers of half precision, if `out` is of floats.
pub(in crate::vhtp) fn half_precision(out: &Tensor<'_>) -> Option<Limit> {
    match elementwise::limit(out, -HALF_MAX, HALF_MAX) {
        Ok(Limit::Float(real, low, high)) => Some(Limit::Float(real, low, high)),
        _ => None,
    }
}

/// The same bounds, those of floats within the finite numbers of half precision.
pub(in crate::vhtp) fn within_half_precision(limit: Limit) -> Limit {
    let finite = |bound: f32| bound.clamp(-HALF_MAX, HALF_MAX);
    match limit {
        Limit::Float(real, low, high) => Limit::Float(real, finite(low), finite(high)),
        Limit::Quantized(..) => limit,
    }
}

/// Whether `op` can take `relu` in: nobody else reads what lies between, and the result is of the
/// same kind.
fn fits(table: &GraphTable<'_>, op: &Op<'_>, relu: &Op<'_>) -> Option<()> {
    let known = CONVOLUTIONS.contains(&op.type_name())
        && matches!(relu.type_name(), "Relu" | "ReluMinMax")
        && op.outputs().len() == 1
        && relu.inputs().len() == 1
        && relu.outputs().len() == 1;
    let (between, out) = (op.outputs().at(0)?, relu.outputs().at(0)?);
    let compiles = |op: &Op<'_>| super::compile(op, 0, &mut Extras::counting()).is_ok();
    let same = |tensor: &Tensor<'_>| tensor.index() == between.index();
    let readers = || table.ops().flat_map(|op| op.inputs().iter()).filter(same).count();
    let fits = known
        && between.kind() == TensorKind::Native
        && same(&relu.inputs().at(0)?)
        && between.data_type() == out.data_type()
        && same_steps(&between, &out)
        && between.dims().eq(out.dims())
        && readers() == 1
        && limit(relu).is_ok()
        && [*op, *relu, op.writing(relu)].iter().all(compiles);
    fits.then_some(())
}

/// Whether both store a number in the same way: folding must not change a result, and it would skip
/// the rounding between (C-117).
fn same_steps(one: &Tensor<'_>, other: &Tensor<'_>) -> bool {
    one.quant_count() == other.quant_count()
        && one.quant_axis() == other.quant_axis()
        && (0..one.quant_count()).all(|channel| one.quant(channel) == other.quant(channel))
}
