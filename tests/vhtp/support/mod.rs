//! What the tests of the virtual HTP share: small graphs, a driver, and numbers of an independent
//! reference.

use htp_runtime::device::{
    Command, Device, Event, ExecuteError, ExecutionReport, PrepareError, Step, ThreadPriority,
};
use htp_runtime::graph::{
    DataType, GraphBuilder, GraphOptions, OpSpec, ParamSpec, ParamValue, ScaleOffset, TensorKind,
    TensorSpec,
};
use htp_runtime::handle::{ContextId, Epoch, GraphId, RequestId};
use htp_runtime::memory::ClientMemory;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Vhtp, VhtpCapacities, VhtpConfig};

/// A tensor's type.
#[derive(Clone, Debug)]
pub struct Type {
    pub data_type: DataType,
    pub dims: Vec<u32>,
    pub quants: Vec<ScaleOffset>,
    pub axis: u32,
}

/// A type without quantization.
pub fn plain(data_type: DataType, dims: &[u32]) -> Type {
    Type { data_type, dims: dims.to_vec(), quants: vec![], axis: 0 }
}

/// A type with one scale and offset.
pub fn fixed(data_type: DataType, dims: &[u32], scale: f32, offset: i32) -> Type {
    let quants = vec![ScaleOffset { scale, offset }];
    Type { data_type, dims: dims.to_vec(), quants, axis: 0 }
}

/// A parameter's value.
pub enum P {
    U32(u32),
    Bool(bool),
    F32(f32),
    I32(i32),
    List(Vec<u32>, Vec<u32>),
    Signed(Vec<u32>, Vec<i32>),
}

/// A list of words.
pub fn list(words: &[u32]) -> P {
    P::List(vec![words.len() as u32], words.to_vec())
}

/// Two extents.
pub fn pair(a: u32, b: u32) -> P {
    P::List(vec![2], vec![a, b])
}

/// Paddings: top, bottom, left, right.
pub fn pads(pads: [u32; 4]) -> P {
    P::List(vec![2, 2], pads.to_vec())
}

/// A graph under construction.
pub struct Net {
    pub region: Region<'static>,
    builder: GraphBuilder<'static>,
    next: u32,
}

impl Net {
    pub fn new() -> Self {
        let mut region = Region::from_heap(1 << 22);
        let builder = GraphBuilder::new(&mut region, "net").unwrap();
        Self { region, builder, next: 0 }
    }

    pub fn set_options(&mut self, options: GraphOptions) {
        self.builder.set_options(options);
    }

    pub fn tensor(&mut self, kind: TensorKind, of: &Type, data: &[u8]) -> u32 {
        self.next += 1;
        let spec = TensorSpec {
            id: self.next,
            name: &format!("t{}", self.next),
            kind,
            data_type: of.data_type,
            dims: &of.dims,
            quant_axis: of.axis,
            quants: &of.quants,
            data,
        };
        self.builder.add_tensor(&mut self.region, &spec).unwrap()
    }

    pub fn input(&mut self, of: &Type) -> u32 {
        self.tensor(TensorKind::AppWrite, of, &[])
    }

    pub fn output(&mut self, of: &Type) -> u32 {
        self.tensor(TensorKind::AppRead, of, &[])
    }

    pub fn native(&mut self, of: &Type) -> u32 {
        self.tensor(TensorKind::Native, of, &[])
    }

    pub fn constant(&mut self, of: &Type, data: &[u8]) -> u32 {
        self.tensor(TensorKind::Static, of, data)
    }

    pub fn op(&mut self, name: &str, params: &[(&str, P)], inputs: &[u32], outputs: &[u32]) {
        self.op_of("qti.aisw", name, params, inputs, outputs);
    }

    pub fn op_of(
        &mut self,
        package: &str,
        type_name: &str,
        params: &[(&str, P)],
        inputs: &[u32],
        outputs: &[u32],
    ) {
        let values: Vec<ParamSpec<'_>> = params
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    P::U32(value) => ParamValue::Scalar(DataType::Uint32, (*value).into()),
                    P::Bool(value) => ParamValue::Scalar(DataType::Bool8, (*value).into()),
                    P::F32(value) => ParamValue::Scalar(DataType::Float32, value.to_bits().into()),
                    P::I32(value) => ParamValue::Scalar(DataType::Int32, u64::from(*value as u32)),
                    P::Signed(dims, words) => {
                        let data: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                        ParamValue::Tensor(self.constant(&plain(DataType::Int32, dims), &data))
                    }
                    P::List(dims, words) => {
                        let data: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                        let of = plain(DataType::Uint32, dims);
                        ParamValue::Tensor(self.constant(&of, &data))
                    }
                };
                ParamSpec { name, value }
            })
            .collect();
        let spec = OpSpec { name: "op", package, type_name, params: &values, inputs, outputs };
        self.builder.add_op(&mut self.region, &spec).unwrap();
    }

    pub fn table(&mut self) -> SharedBytes<'static> {
        self.builder.write(&mut self.region).unwrap()
    }
}

/// A device with the means to drive it.
pub struct Rig {
    pub device: Vhtp<'static>,
    pub now: Instant,
    pub epoch: Epoch,
}

pub const NORMAL: ThreadPriority = ThreadPriority { hmx: 0xC0, hvx: 0xC1 };
pub const HIGH: ThreadPriority = ThreadPriority { hmx: 0xBB, hvx: 0xBC };
pub const LOW: ThreadPriority = ThreadPriority { hmx: 0xC5, hvx: 0xC6 };

pub fn context() -> ContextId {
    ContextId::from_parts(0, 1, Epoch::FIRST)
}

pub fn graph(index: u16) -> GraphId {
    GraphId::from_parts(index, 1, Epoch::FIRST)
}

pub fn request(slot: u16) -> RequestId {
    RequestId { context: 0, slot, generation: 1 }
}

impl Rig {
    pub fn new(config: VhtpConfig) -> Self {
        Self::with_memory(config, 1 << 19)
    }

    pub fn with_memory(config: VhtpConfig, bytes: usize) -> Self {
        let capacities = VhtpCapacities { contexts: 2, graphs: 8, buffers: 4, journal: 256 };
        let device = Vhtp::new(Region::from_heap(bytes), config, capacities).unwrap();
        Self { device, now: Instant::from_us(1_000), epoch: Epoch::FIRST }
    }

    pub fn submit(&mut self, command: Command<'_, 'static>) {
        self.device.submit(self.now, command);
    }

    /// One step, which does nothing before it was said to be due.
    pub fn step(&mut self) -> Step {
        let due = self.device.due();
        let step = self.device.step(self.now);
        match due {
            None => assert_eq!(step, Step::Waiting(None), "nothing was due"),
            Some(due) if due > self.now => assert_eq!(step, Step::Waiting(Some(due)), "too early"),
            Some(_) => {}
        }
        step
    }

    /// Steps until the device has nothing to do; waits move the clock.
    pub fn run(&mut self) -> Vec<Event> {
        let mut events = vec![];
        for _ in 0..100_000 {
            match self.step() {
                Step::Event(event) => events.push(event),
                Step::Worked => {}
                Step::Waiting(Some(until)) => self.now = self.now.max(until),
                Step::Waiting(None) => return events,
            }
        }
        panic!("never idle");
    }

    /// Makes the context, if it is not there yet, and prepares a graph.
    pub fn prepare(
        &mut self,
        id: GraphId,
        table: SharedBytes<'static>,
    ) -> Result<htp_runtime::device::GraphReport, PrepareError> {
        let (context, epoch) = (context(), self.epoch);
        self.submit(Command::ContextCreate { context, epoch });
        self.submit(Command::GraphPrepare { graph: id, context, epoch, table });
        let events = self.run();
        match events.last() {
            Some(Event::GraphPrepared { graph, result, .. }) if *graph == id => *result,
            other => panic!("not prepared: {other:?}"),
        }
    }

    pub fn execute(
        &mut self,
        slot: u16,
        graph: GraphId,
        priority: ThreadPriority,
        io: &mut [Vec<u8>],
    ) {
        let io = lend(io);
        let (request, epoch) = (request(slot), self.epoch);
        self.submit(Command::Execute { request, graph, epoch, priority, hvx_threads: 0, io: &io });
    }
}

/// Lends blocks to the device. The tests keep them until the execution has ended.
pub fn lend(io: &mut [Vec<u8>]) -> Vec<ClientMemory> {
    io.iter_mut()
        .map(|block| {
            let address = block.as_mut_ptr().expose_provenance();
            // SAFETY: the caller keeps the blocks, unmoved, until the execution has ended.
            unsafe { ClientMemory::new(address, block.len()) }
        })
        .collect()
}

/// Results of the executions among `events`, by request slot.
pub fn executed(events: &[Event]) -> Vec<(u16, Result<ExecutionReport, ExecuteError>)> {
    let executed = |event: &Event| match event {
        Event::Executed { request, result, .. } => Some((request.slot, *result)),
        _ => None,
    };
    events.iter().filter_map(executed).collect()
}

/// Prepares and executes a graph once.
pub fn run_table(
    table: SharedBytes<'static>,
    inputs: Vec<Vec<u8>>,
    output_bytes: &[usize],
) -> Result<Vec<Vec<u8>>, PrepareError> {
    let mut rig = Rig::new(VhtpConfig::default());
    rig.prepare(graph(0), table)?;
    let count = inputs.len();
    let mut io = inputs;
    io.extend(output_bytes.iter().map(|&bytes| vec![0xA5; bytes]));
    rig.execute(0, graph(0), NORMAL, &mut io);
    let events = rig.run();
    assert!(matches!(executed(&events)[..], [(0, Ok(_))]), "{events:?}");
    Ok(io.split_off(count))
}

/// A graph of one op: runs it and gives the bytes of its output. Constant operands carry data.
pub fn run_op(
    name: &str,
    params: &[(&str, P)],
    operands: &[(&Type, &[u8], bool)],
    out: &Type,
) -> Result<Vec<u8>, PrepareError> {
    Ok(run_op_outputs(name, params, operands, &[out])?.remove(0))
}

/// A graph of one op with several outputs.
pub fn run_op_outputs(
    name: &str,
    params: &[(&str, P)],
    operands: &[(&Type, &[u8], bool)],
    outs: &[&Type],
) -> Result<Vec<Vec<u8>>, PrepareError> {
    let mut net = Net::new();
    let mut inputs = vec![];
    let mut tensors = vec![];
    for (of, data, constant) in operands {
        if *constant {
            tensors.push(net.constant(of, data));
        } else {
            tensors.push(net.input(of));
            inputs.push(data.to_vec());
        }
    }
    let outputs: Vec<u32> = outs.iter().map(|out| net.output(out)).collect();
    net.op(name, params, &tensors, &outputs);
    let bytes: Vec<usize> =
        outs.iter().map(|out| count(&out.dims) * out.data_type.size_bytes()).collect();
    run_table(net.table(), inputs, &bytes)
}

/// A tensor with its bytes and the real numbers that they stand for.
#[derive(Clone, Debug)]
pub struct Data {
    pub of: Type,
    pub bytes: Vec<u8>,
    pub reals: Vec<f64>,
}

impl Data {
    pub fn of(of: &Type, bytes: &[u8]) -> Self {
        let scaled = |stored: i64| match of.quants.first() {
            Some(quant) => (stored + i64::from(quant.offset)) as f64 * f64::from(quant.scale),
            None => stored as f64,
        };
        let reals = match of.data_type {
            DataType::Float32 => {
                to_floats(bytes).into_iter().map(|x| reference::half(x).into()).collect()
            }
            DataType::Float16 => {
                decode(DataType::Uint16, bytes).into_iter().map(reference::from_half).collect()
            }
            other => decode(other, bytes).into_iter().map(scaled).collect(),
        };
        Self { of: of.clone(), bytes: bytes.to_vec(), reals }
    }

    /// Random numbers of a type: all stored values, or floats up to 8 in magnitude.
    pub fn random(random: &mut Random, data_type: DataType, dims: &[u32]) -> Self {
        let len = count(dims);
        match data_type {
            DataType::Float32 => {
                let values: Vec<f32> = (0..len).map(|_| random.real(8.0)).collect();
                Self::of(&plain(data_type, dims), &floats(&values))
            }
            DataType::Float16 => {
                // Any sign and mantissa, exponents of 2^-13 to 2^2.
                let bits = |random: &mut Random| {
                    random.between(2, 17) << 10
                        | random.between(0, 1023)
                        | random.between(0, 1) << 15
                };
                let values: Vec<i64> = (0..len).map(|_| bits(random)).collect();
                Self::of(&plain(data_type, dims), &encode(data_type, &values))
            }
            DataType::Int32 => {
                let values: Vec<i64> = (0..len).map(|_| random.between(-9, 9)).collect();
                Self::of(&plain(data_type, dims), &encode(data_type, &values))
            }
            DataType::Bool8 => {
                let values: Vec<i64> = (0..len).map(|_| random.between(0, 1)).collect();
                Self::of(&plain(data_type, dims), &encode(data_type, &values))
            }
            _ => {
                let of = random.fixed(data_type, dims);
                let values = random.stored(data_type, len);
                Self::of(&of, &encode(data_type, &values))
            }
        }
    }

    /// The numbers of a normalization's constant: those in float32 are not rounded to float16.
    pub fn as_stored(&self) -> Vec<f64> {
        match self.of.data_type {
            DataType::Float32 => to_floats(&self.bytes).into_iter().map(f64::from).collect(),
            _ => self.reals.clone(),
        }
    }

    pub fn operand(&self) -> (&Type, &[u8], bool) {
        (&self.of, &self.bytes, false)
    }

    pub fn constant(&self) -> (&Type, &[u8], bool) {
        (&self.of, &self.bytes, true)
    }
}

/// Whether bytes are the nearest that the type has to `expected`: half a step away at most, or at
/// the end of the range.
pub fn nearest(of: &Type, bytes: &[u8], expected: &[f64]) -> Result<(), String> {
    let found = Data::of(of, bytes).reals;
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let fits = match of.quants.first() {
            Some(quant) => {
                let (scale, offset) = (f64::from(quant.scale), f64::from(quant.offset));
                let (low, high) = reference::range(of.data_type);
                let (low, high) = (low as f64 + offset, high as f64 + offset);
                let exact = if expected.is_nan() { 0.0 } else { expected / scale };
                (found / scale - exact.clamp(low, high)).abs() <= 0.5 + 1e-6
            }
            None if expected.is_nan() => found.is_nan(),
            None if expected.abs() >= 65_520.0 => *found == expected.signum() * f64::INFINITY,
            None => {
                let whole = of.data_type.qnn() >> 8 != 2;
                let reach = if whole { 0.0 } else { expected.abs() / 2047.9 + 2f64.powi(-25) };
                (found - expected).abs() <= reach
            }
        };
        if !fits {
            return Err(format!("element {index}: {found}, not {expected}, of {of:?}"));
        }
    }
    Ok(())
}

pub fn count(dims: &[u32]) -> usize {
    dims.iter().product::<u32>() as usize
}

/// Integers as little-endian elements of a type.
pub fn encode(data_type: DataType, values: &[i64]) -> Vec<u8> {
    let size = data_type.size_bytes();
    values.iter().flat_map(|value| value.to_le_bytes()[..size].to_vec()).collect()
}

/// Elements of a type as integers.
pub fn decode(data_type: DataType, bytes: &[u8]) -> Vec<i64> {
    let size = data_type.size_bytes();
    let signed = matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Sfixed8
            | DataType::Sfixed16
            | DataType::Sfixed32
    );
    bytes
        .chunks(size)
        .map(|chunk| {
            let mut wide = [0u8; 8];
            wide[..size].copy_from_slice(chunk);
            let value = i64::from_le_bytes(wide);
            let unused = 64 - 8 * size as u32;
            if signed {
                value << unused >> unused
            } else {
                value
            }
        })
        .collect()
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn to_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// Numbers of the reference: exact integers and doubles, written from the definition of the
/// arithmetic.
pub mod reference {
    use htp_runtime::graph::DataType;

    pub fn range(data_type: DataType) -> (i128, i128) {
        match data_type {
            DataType::Ufixed8 => (0, 255),
            DataType::Sfixed8 => (-128, 127),
            DataType::Ufixed16 => (0, 65_535),
            DataType::Sfixed16 => (-32_768, 32_767),
            other => panic!("{other:?} is not quantized"),
        }
    }

    pub fn clamp(data_type: DataType, value: i128) -> i64 {
        let (low, high) = range(data_type);
        value.clamp(low, high) as i64
    }

    /// `round_half_up(acc * factor)` through a 31-bit mantissa; `None` if the shift leaves 1 to 62.
    pub fn requant(acc: i128, factor: f64) -> Option<i128> {
        let (mut mantissa, mut exponent) = (factor, 0i32);
        while mantissa >= 1.0 {
            mantissa /= 2.0;
            exponent += 1;
        }
        while mantissa < 0.5 {
            mantissa *= 2.0;
            exponent -= 1;
        }
        let mut mult = (mantissa * (1u64 << 31) as f64 + 0.5).floor() as i128;
        if mult == 1 << 31 {
            mult = 1 << 30;
            exponent += 1;
        }
        let shift = 31 - exponent;
        if !(1..=62).contains(&shift) {
            return None;
        }
        Some((acc * mult + (1 << (shift - 1))) >> shift)
    }

    /// The value of a float16.
    pub fn from_half(bits: i64) -> f64 {
        let (exponent, mantissa) = (bits >> 10 & 31, (bits & 1023) as f64);
        let sign = if bits >> 15 & 1 == 1 { -1.0 } else { 1.0 };
        sign * match exponent {
            0 => mantissa * 2f64.powi(-24),
            31 if mantissa == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + mantissa) * 2f64.powi(exponent as i32 - 25),
        }
    }

    /// To float16 and back, ties away from 0: conversions, and all but sums of products.
    pub fn half(value: impl Into<f64>) -> f32 {
        rounded(value.into(), f64::round)
    }

    /// To float16 and back, ties to even: sums of products, their weights and biases.
    pub fn even_half(value: impl Into<f64>) -> f32 {
        rounded(value.into(), f64::round_ties_even)
    }

    fn rounded(value: f64, round: fn(f64) -> f64) -> f32 {
        if value == 0.0 || !value.is_finite() {
            return value as f32;
        }
        let exponent = (value.abs().log2().floor() as i32).max(-14);
        let step = 2f64.powi(exponent - 10);
        let rounded = round(value / step) * step;
        if rounded.abs() >= 65_520.0 {
            return if value > 0.0 { f32::INFINITY } else { f32::NEG_INFINITY };
        }
        rounded as f32
    }
}

/// A small generator of numbers, the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn scale(&mut self) -> f32 {
        (0.001 + self.unit() * 0.1) as f32
    }

    pub fn stored(&mut self, data_type: DataType, len: usize) -> Vec<i64> {
        let (low, high) = reference::range(data_type);
        (0..len).map(|_| self.between(low as i64, high as i64)).collect()
    }

    /// A quantized type whose offset lies in the type's range.
    pub fn fixed(&mut self, data_type: DataType, dims: &[u32]) -> Type {
        let (low, high) = reference::range(data_type);
        let offset = -self.between(low as i64, high as i64) as i32;
        fixed(data_type, dims, self.scale(), offset)
    }

    pub fn real(&mut self, reach: f64) -> f32 {
        ((self.unit() * 2.0 - 1.0) * reach) as f32
    }
}
