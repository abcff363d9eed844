//! FullyConnected and MatMul.

use super::check::{self, ensure};
use super::convolution::Sums;
use super::{Compiled, Extras, Refusal};
use crate::graph::{Op, RANK_MAX};
use crate::vhtp::kernels::element::Unit;
use crate::vhtp::kernels::matmul::Matmul;

/// `[batch, k] x [n, k]`, with all dimensions of the input flattened to two.
pub(super) fn fully_connected(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["keep_dims"])?;
    check::input_count(op, 2..=3)?;
    let (x, w, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let [n, k, ..] = check::shape(&w)?;
    if w.rank() != 2 || x.element_count().checked_rem(k) != Some(0) {
        return Err(Refusal::Shape(w.index()));
    }
    let m = x.element_count().checked_div(k).ok_or(Refusal::Invalid)?;
    let last = out.rank().checked_sub(1).map(|axis| out.dim(axis));
    let n_matches = last.and_then(|dim| usize::try_from(dim).ok()) == Some(n);
    if !n_matches || Some(out.element_count()) != m.checked_mul(n) {
        return Err(Refusal::Shape(out.index()));
    }
    if check::flag(op, "keep_dims")? {
        let before = |dims: usize| dims.checked_sub(1).ok_or(Refusal::Invalid);
        ensure(x.rank() == out.rank())?;
        ensure(x.dims().take(before(x.rank())?).eq(out.dims().take(before(out.rank())?)))?;
    }
    let sums = Sums { length: k, outputs: n, weight_axis: 0, unit: Unit::Matrix };
    let numbers = sums.compile(&x, &w, check::optional_input(op, 2), &out, extras)?;
    let single = [1; RANK_MAX];
    Ok(Compiled::Matmul(Matmul {
        numbers,
        m,
        k,
        n,
        transpose_0: false,
        transpose_1: true,
        batch: single,
        batch_0: single,
        batch_1: single,
    }))
}

/// Matrices of the last two dimensions; dimensions before are batches and broadcast.
pub(super) fn matmul(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["transpose_in0", "transpose_in1"])?;
    check::input_count(op, 2..=3)?;
    let (a, b, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    ensure(a.rank() >= 2 && b.rank() >= 2 && out.rank() == a.rank().max(b.rank()))?;
    let transpose_0 = check::flag(op, "transpose_in0")?;
    let transpose_1 = check::flag(op, "transpose_in1")?;
    let swap = |[rows, columns]: [usize; 2], swapped: bool| match swapped {
        true => [columns, rows],
        false => [rows, columns],
    };
    let (batch_a, matrix_a) = split(check::aligned_shape(&a)?);
    let (batch_b, matrix_b) = split(check::aligned_shape(&b)?);
    let (batch, matrix_out) = split(check::aligned_shape(&out)?);
    let ([m, k], [k_b, n]) = (swap(matrix_a, transpose_0), swap(matrix_b, transpose_1));
    if k != k_b {
        return Err(Refusal::Shape(b.index()));
    }
    if matrix_out != [m, n] {
        return Err(Refusal::Shape(out.index()));
    }
    for ((&a, &b), &out) in batch_a.iter().zip(&batch_b).zip(&batch) {
        ensure(out == if a == 1 { b } else { a })?;
    }
    let columns = b.rank().saturating_sub(if transpose_1 { 2 } else { 1 });
    let sums = Sums { length: k, outputs: n, weight_axis: columns, unit: Unit::Matrix };
    let numbers = sums.compile(&a, &b, check::optional_input(op, 2), &out, extras)?;
    Ok(Compiled::Matmul(Matmul {
        numbers,
        m,
        k,
        n,
        transpose_0,
        transpose_1,
        batch,
        batch_0: check::broadcast_strides(&batch_a, &batch)?,
        batch_1: check::broadcast_strides(&batch_b, &batch)?,
    }))
}

/// Batch dimensions (aligned right) and the matrix.
fn split(shape: [usize; RANK_MAX]) -> ([usize; RANK_MAX], [usize; 2]) {
    let [a, b, c, d, rows, columns] = shape;
    ([1, 1, a, b, c, d], [rows, columns])
}
