//! The one check of a graph table, after which its records are trusted.

use super::table::{
    GraphTable, Op, ParamRecord, Span, TableError, Tensor, CONTEXT_TENSOR, NO_PRODUCER,
    READ_AND_WRITTEN,
};
use super::types::{element_count, DataType, TensorKind, RANK_MAX};

/// Checks every record: names, types, ranges, sizes, and that each operation reads only what exists
/// by then.
pub(super) fn validate(table: &GraphTable<'_>) -> Result<(), TableError> {
    let header = table.header();
    name(table, header.name)?;
    header.options.read().ok_or(TableError::BadOption)?;
    for tensor in table.tensors() {
        check_tensor(table, &tensor)?;
    }
    for (span, kind) in
        [(header.inputs, TensorKind::AppWrite), (header.outputs, TensorKind::AppRead)]
    {
        let words = table.word_run(span).ok_or(TableError::OutOfBounds)?;
        let listed = words.iter().map(|word| usize::try_from(word.get()).ok());
        let expected = table.tensors().filter(|tensor| tensor.kind() == kind);
        if !listed.eq(expected.map(|tensor| Some(tensor.index()))) {
            return Err(TableError::BadTensor);
        }
    }
    let mut written = 0usize;
    for op in table.ops() {
        check_op(table, &op)?;
        written = written.saturating_add(op.outputs().len());
    }
    // Every written tensor named its writer and was written once (check_op), so equal counts mean
    // that no tensor claims a false writer.
    let claimed = table.tensors().filter(|tensor| tensor.record.producer.get() != NO_PRODUCER);
    (claimed.count() == written).then_some(()).ok_or(TableError::BadOp)
}

fn name(table: &GraphTable<'_>, span: Span) -> Result<(), TableError> {
    let text = table.text_bytes(span).ok_or(TableError::OutOfBounds)?;
    core::str::from_utf8(text).map(|_| ()).map_err(|_| TableError::BadName)
}

fn check_tensor(table: &GraphTable<'_>, tensor: &Tensor<'_>) -> Result<(), TableError> {
    let record = tensor.record;
    name(table, record.name)?;
    let kind = TensorKind::from_qnn(record.kind.get()).ok_or(TableError::BadTensor)?;
    let dims = table.word_run(record.dims).ok_or(TableError::OutOfBounds)?;
    let quants = table.quant_run(record.quants).ok_or(TableError::OutOfBounds)?;
    const BOTH: u32 = CONTEXT_TENSOR | READ_AND_WRITTEN;
    let sane = match (kind, record.flags.get()) {
        (TensorKind::AppReadWrite, _) => false,
        (TensorKind::AppWrite | TensorKind::AppRead, BOTH) => true,
        (TensorKind::Native, flags) => flags == 0,
        (_, flags) => flags & !CONTEXT_TENSOR == 0,
    };
    if !sane {
        return Err(TableError::BadTensor);
    }
    if kind == TensorKind::Null {
        return Ok(());
    }
    let data_type = DataType::from_qnn(record.data_type.get()).ok_or(TableError::BadTensor)?;
    let bytes = element_count(dims.iter().map(|dim| dim.get()))
        .and_then(|count| count.checked_mul(data_type.size_bytes()))
        .ok_or(TableError::BadTensor)?;
    let data_bytes = usize::try_from(record.data_bytes.get()).unwrap_or(usize::MAX);
    let data_expected = if kind == TensorKind::Static { bytes } else { 0 };
    let channels = dims
        .get(usize::try_from(record.quant_axis.get()).unwrap_or(usize::MAX))
        .map_or(0, |dim| usize::try_from(dim.get()).unwrap_or(0));
    let quants_fit = quants.len() <= 1 || quants.len() == channels;
    let quants_sane =
        quants.iter().all(|quant| quant.scale.get() > 0.0 && quant.scale.get().is_finite());
    if bytes == 0
        || dims.len() > RANK_MAX
        || data_bytes != data_expected
        || tensor.data().len() != data_bytes
        || !quants_fit
        || !quants_sane
    {
        return Err(TableError::BadTensor);
    }
    Ok(())
}

fn check_op(table: &GraphTable<'_>, op: &Op<'_>) -> Result<(), TableError> {
    let record = op.record;
    for span in [record.name, record.package, record.type_name] {
        name(table, span)?;
    }
    for param in table.param_run(record.params).ok_or(TableError::OutOfBounds)? {
        check_param(table, param)?;
    }
    for (span, writes) in [(record.inputs, false), (record.outputs, true)] {
        let words = table.word_run(span).ok_or(TableError::OutOfBounds)?;
        for (place, word) in words.iter().enumerate() {
            if writes && words.iter().take(place).any(|earlier| earlier == word) {
                return Err(TableError::BadOp);
            }
            let index = usize::try_from(word.get()).unwrap_or(usize::MAX);
            let tensor = table.tensor(index).ok_or(TableError::BadOp)?;
            let producer = tensor.record.producer.get();
            let position = u32::try_from(op.index()).unwrap_or(NO_PRODUCER);
            let allowed = match tensor.kind() {
                TensorKind::Native | TensorKind::AppRead if writes => producer == position,
                TensorKind::Native | TensorKind::AppRead => producer < position,
                TensorKind::AppWrite | TensorKind::Static | TensorKind::Null => {
                    !writes && producer == NO_PRODUCER
                }
                TensorKind::AppReadWrite => false,
            };
            if !allowed {
                return Err(TableError::BadOp);
            }
        }
    }
    Ok(())
}

fn check_param(table: &GraphTable<'_>, param: &ParamRecord) -> Result<(), TableError> {
    name(table, param.name)?;
    let valid = match param.data_type.get() {
        0 => {
            let index = usize::try_from(param.tensor.get()).unwrap_or(usize::MAX);
            table.tensor(index).is_some_and(|tensor| tensor.kind() == TensorKind::Static)
        }
        number => DataType::from_qnn(number).is_some(),
    };
    valid.then_some(()).ok_or(TableError::BadOp)
}
