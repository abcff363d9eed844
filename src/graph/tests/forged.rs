//! Tables that no builder wrote: each is refused for its reason, and none makes the reader panic.

use proptest::prelude::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::table::{Header, OpRecord, ParamRecord, QuantRecord, TensorRecord, NO_PRODUCER};
use super::*;

/// A table to change, with its records by index.
struct Forge(Vec<u8>);

impl Forge {
    fn record<T>(&mut self, first: u64, index: u32) -> &mut T
    where
        T: FromBytes + IntoBytes + Immutable + KnownLayout,
    {
        let offset = first as usize + index as usize * size_of::<T>();
        T::mut_from_prefix(&mut self.0[offset..]).unwrap_or_else(|_| panic!("no record there")).0
    }

    fn header(&mut self) -> &mut Header {
        self.record(0, 0)
    }

    fn tensor(&mut self, index: u32) -> &mut TensorRecord {
        let first = self.header().tensors.first.get();
        self.record(first.into(), index)
    }

    fn op(&mut self, index: u32) -> &mut OpRecord {
        let first = self.header().ops.first.get();
        self.record(first.into(), index)
    }

    fn param(&mut self, index: u32) -> &mut ParamRecord {
        let first = self.header().params.first.get();
        self.record(first.into(), index)
    }

    fn quant(&mut self, index: u32) -> &mut QuantRecord {
        let first = self.header().quants.first.get();
        self.record(first.into(), index)
    }

    fn word(&mut self, index: u32) -> &mut zerocopy::little_endian::U32 {
        let first = self.header().words.first.get();
        self.record(first.into(), index)
    }
}

/// What becomes of the whole table after `change`.
fn parsed(change: impl FnOnce(&mut Forge)) -> Result<(), TableError> {
    let mut forge = Forge(everything_as_bytes());
    change(&mut forge);
    GraphTable::parse(&forge.0).map(|_| ())
}

#[track_caller]
fn refused(error: TableError, changes: &[fn(&mut Forge)]) {
    for (index, change) in changes.iter().enumerate() {
        assert_eq!(parsed(change), Err(error), "change {index}");
    }
}

#[test]
fn an_unchanged_table_is_accepted() {
    assert_eq!(parsed(|_| ()), Ok(()));
    assert_eq!(parsed(|forge| forge.0.extend([1, 2, 3])), Ok(()), "what follows is not looked at");
}

#[test]
fn not_a_table_or_another_version() {
    refused(TableError::NotATable, &[|f| f.header().magic[0] = b'h', |f| f.0.fill(0)]);
    refused(TableError::Version, &[|f| f.header().version.set(0), |f| f.header().version.set(1)]);
}

#[test]
fn truncated() {
    let bytes = everything_as_bytes();
    for len in 0..bytes.len() {
        assert_eq!(GraphTable::parse(&bytes[..len]).err(), Some(TableError::Truncated));
    }
    refused(TableError::Truncated, &[|f| f.header().total_bytes.set(u64::MAX)]);
    // A block that says it is shorter than its own header.
    let mut header = Header::read_from_bytes(&[0; size_of::<Header>()]).unwrap();
    header.magic = super::super::table::MAGIC;
    header.version.set(super::super::table::VERSION);
    assert_eq!(GraphTable::parse(header.as_bytes()).err(), Some(TableError::Truncated));
}

#[test]
fn out_of_bounds() {
    refused(
        TableError::OutOfBounds,
        &[
            |f| f.header().tensors.first.set(u32::MAX),
            |f| f.header().ops.count.set(u32::MAX),
            |f| f.header().params.count.set(u32::MAX),
            |f| f.header().quants.first.set(1 << 20),
            |f| f.header().words.count.set(1 << 20),
            |f| f.header().strings.count.set(1 << 20),
            |f| f.header().constants_offset.set(u64::MAX),
            |f| f.header().constants_bytes.set(u64::MAX),
            |f| f.header().name.count.set(u32::MAX),
            |f| f.header().name.first.set(u32::MAX),
            |f| f.header().inputs.first.set(u32::MAX),
            |f| f.header().outputs.count.set(1000),
            |f| f.tensor(X).name.first.set(u32::MAX),
            |f| f.tensor(X).dims.count.set(u32::MAX),
            |f| f.tensor(X).quants.first.set(100),
            |f| f.tensor(ABSENT).dims.first.set(1000),
            |f| f.op(0).name.count.set(u32::MAX),
            |f| f.op(0).package.first.set(u32::MAX),
            |f| f.op(0).type_name.first.set(1 << 20),
            |f| f.op(0).params.count.set(3),
            |f| f.op(1).inputs.first.set(u32::MAX),
            |f| f.op(1).outputs.count.set(u32::MAX),
            |f| f.param(1).name.first.set(u32::MAX),
        ],
    );
}

#[test]
fn bad_tensors() {
    refused(
        TableError::BadTensor,
        &[
            |f| f.tensor(X).kind.set(2),
            // Flags without a meaning, or on a tensor that no context has.
            |f| f.tensor(X).flags.set(2),
            |f| f.tensor(X).flags.set(4),
            |f| f.tensor(WEIGHTS).flags.set(3),
            |f| f.tensor(MIDDLE).flags.set(1),
            |f| f.tensor(ABSENT).flags.set(3),
            |f| f.tensor(X).data_type.set(0),
            |f| f.tensor(X).dims.count.set(7),
            |f| f.word(2).set(0),
            |f| f.tensor(X).data_bytes.set(24),
            |f| f.tensor(WEIGHTS).data_bytes.set(7),
            |f| f.tensor(WEIGHTS).data_offset.set(u64::MAX),
            |f| f.tensor(STRIDE).data_offset.set(65),
            |f| f.tensor(WEIGHTS).quant_axis.set(0),
            |f| f.tensor(WEIGHTS).quant_axis.set(u32::MAX),
            |f| f.quant(0).scale.set(0.0),
            |f| f.quant(1).scale.set(f32::NAN),
            |f| f.quant(2).scale.set(f32::NEG_INFINITY),
        ],
    );
    refused(TableError::BadTensor, &[|f| (0..4).for_each(|word| f.word(word).set(u32::MAX))]);
}

#[test]
fn bad_options() {
    refused(
        TableError::BadOption,
        &[
            |f| f.header().options.optimization_level.set(4),
            |f| f.header().options.switches.set(1 << 5),
            |f| f.header().options.switches.set(u32::MAX),
        ],
    );
}

#[test]
fn lists_of_inputs_and_outputs_that_are_not_all_of_them_in_order() {
    refused(
        TableError::BadTensor,
        &[
            |f| f.header().inputs.count.set(0),
            |f| f.header().inputs = f.header().outputs,
            |f| f.header().outputs.count.set(1),
            |f| {
                let first = f.header().outputs.first.get();
                f.word(first).set(Z);
            },
            |f| {
                let first = f.header().outputs.first.get();
                f.word(first + 1).set(Y);
            },
            |f| {
                let first = f.header().outputs.first.get();
                f.word(first).set(Z);
                f.word(first + 1).set(Y);
            },
        ],
    );
}

#[test]
fn bad_operations() {
    refused(
        TableError::BadOp,
        &[
            // No such tensor.
            |f| {
                let first = f.op(0).inputs.first.get();
                f.word(first).set(7);
            },
            // Reads what is produced later, by itself, or never.
            |f| {
                let first = f.op(0).inputs.first.get();
                f.word(first).set(Y);
            },
            |f| f.op(0).inputs = f.op(0).outputs,
            |f| f.tensor(MIDDLE).producer.set(NO_PRODUCER),
            // Writes what another operation, the client or nobody writes.
            |f| f.op(1).outputs = f.op(0).outputs,
            |f| {
                let first = f.op(0).outputs.first.get();
                f.word(first).set(X);
            },
            |f| {
                let first = f.op(0).outputs.first.get();
                f.word(first).set(WEIGHTS);
            },
            // Writes one tensor twice, while another tensor claims to be written.
            |f| {
                let first = f.op(1).outputs.first.get();
                f.word(first).set(Y);
            },
            // A tensor whose producer does not exist or does not write it.
            |f| f.op(1).outputs.count.set(1),
            |f| f.tensor(WEIGHTS).producer.set(0),
            |f| f.tensor(Z).producer.set(9),
            // Parameters.
            |f| f.param(0).tensor.set(X),
            |f| f.param(0).tensor.set(u32::MAX),
            |f| f.param(1).data_type.set(1),
        ],
    );
}

#[test]
fn bad_names() {
    refused(
        TableError::BadName,
        &[
            |f| {
                let first = f.header().strings.first.get() as usize;
                f.0[first] = 0xFF;
            },
            |f| {
                let at = f.header().strings.first.get() + f.tensor(WEIGHTS).name.first.get();
                f.0[at as usize] = 0x80;
            },
            |f| {
                let at = f.header().strings.first.get() + f.op(0).type_name.first.get();
                f.0[at as usize] = 0xC3;
            },
            |f| {
                let at = f.header().strings.first.get() + f.param(0).name.first.get();
                f.0[at as usize] = 0xFE;
            },
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn changed_tables_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        small in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 0..4),
    ) {
        let mut bytes = everything_as_bytes();
        // The constants say nothing; changes go to the records in front of them.
        let records = Forge(bytes.clone()).header().strings.first.get() as usize + 80;
        for (index, value) in changes {
            bytes[index.index(records)] = value;
        }
        for (index, value) in small {
            bytes[index.index(records / 4) * 4] = value;
        }
        if let Ok(table) = GraphTable::open(&bytes) {
            walk(&table);
        }
        if let Ok(table) = GraphTable::parse(&bytes) {
            walk(&table);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(GraphTable::parse(&bytes).is_err());
        let forged = [b"HTPG\x01\0\0\0\x68\x01\0\0\0\0\0\0", &bytes[..]].concat();
        if let Ok(table) = GraphTable::parse(&forged) {
            walk(&table);
        }
    }
}
