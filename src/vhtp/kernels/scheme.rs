//! Number schemes of the multiply-accumulate kernels: quantized with narrow or wide sums, and
//! float16.
//!
//! Convolution, depth-wise convolution and matrix multiplication are written once over [`Scheme`].

use core::marker::PhantomData;

use super::element::{Element, Fixed, FixedType, Real, RealType, Unit};
use super::fixed::Channel;

/// How operands are read, multiplied and summed, and how a sum becomes an element.
pub(in crate::vhtp) trait Scheme: Copy {
    /// Element of activations, in and out.
    type X: Element;
    /// Element of weights.
    type W: Element;
    /// Operand of a multiplication.
    type Operand: Copy;
    /// Sum of products.
    type Sum: Copy;
    /// Sum of no products.
    const ZERO: Self::Sum;
    /// Whether many sums at once pay off; otherwise only short blocks are compiled, which keeps the
    /// code small.
    const LONG_BLOCKS: bool;

    /// An activation as an operand.
    fn activation(self, x: Self::X) -> Self::Operand;
    /// A weight as an operand, its offset left out.
    fn weight(self, w: Self::W) -> Self::Operand;
    /// What a channel's sum starts with.
    fn start(channel: &Channel) -> Self::Sum;
    /// `sum + x * w`.
    fn multiply_add(sum: Self::Sum, x: Self::Operand, w: Self::Operand) -> Self::Sum;
    /// `sum + x`, for the share of the weight offsets.
    fn add(sum: Self::Sum, x: Self::Operand) -> Self::Sum;
    /// The element for `sum` of products, where `activations` is the sum of the activations it is
    /// made of.
    fn finish(self, sum: Self::Sum, activations: Self::Sum, channel: &Channel) -> Self::X;
}

/// A scheme of float16 operands, whose products are exact in float32.
pub(in crate::vhtp) trait RealScheme: Scheme<Operand = f32, Sum = f64> {}
impl<S: Scheme<Operand = f32, Sum = f64>> RealScheme for S {}

/// How sums of quantized products are kept. Sums wrap; prepare has checked that the exact sum fits,
/// and sums modulo 2^n of a value that fits are exact whatever their order.
pub(in crate::vhtp) trait Width: Copy {
    /// Operand.
    type Operand: Copy;
    /// Sum.
    type Sum: Copy;
    /// 0.
    const ZERO: Self::Sum;
    /// See [`Scheme::LONG_BLOCKS`].
    const LONG_BLOCKS: bool;
    /// An operand from an integer that prepare has checked to fit.
    fn operand(value: i32) -> Self::Operand;
    /// `sum + x * w`.
    fn multiply_add(sum: Self::Sum, x: Self::Operand, w: Self::Operand) -> Self::Sum;
    /// `sum + x`.
    fn add(sum: Self::Sum, x: Self::Operand) -> Self::Sum;
    /// The sum as 64 bits.
    fn wide(sum: Self::Sum) -> i64;
}

/// 16-bit operands, 32-bit sums: vectorises well.
#[derive(Clone, Copy)]
pub(in crate::vhtp) struct Narrow;
/// 32-bit operands, 64-bit sums.
#[derive(Clone, Copy)]
pub(in crate::vhtp) struct Wide;

impl Width for Narrow {
    type Operand = i16;
    type Sum = i32;
    const ZERO: i32 = 0;
    const LONG_BLOCKS: bool = true;
    #[inline(always)]
    fn operand(value: i32) -> i16 {
        value as i16
    }
    #[inline(always)]
    fn multiply_add(sum: i32, x: i16, w: i16) -> i32 {
        sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)))
    }
    #[inline(always)]
    fn add(sum: i32, x: i16) -> i32 {
        sum.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn wide(sum: i32) -> i64 {
        i64::from(sum)
    }
}

impl Width for Wide {
    type Operand = i32;
    type Sum = i64;
    const ZERO: i64 = 0;
    const LONG_BLOCKS: bool = false;
    #[inline(always)]
    fn operand(value: i32) -> i32 {
        value
    }
    #[inline(always)]
    fn multiply_add(sum: i64, x: i32, w: i32) -> i64 {
        sum.wrapping_add(i64::from(x).wrapping_mul(i64::from(w)))
    }
    #[inline(always)]
    fn add(sum: i64, x: i32) -> i64 {
        sum.wrapping_add(i64::from(x))
    }
    #[inline(always)]
    fn wide(sum: i64) -> i64 {
        sum
    }
}

/// Quantized activations `X` and weights `W`, summed in `A`.
pub(in crate::vhtp) struct Quantized<X, W, A> {
    in_offset: i32,
    out_offset: i32,
    types: PhantomData<(X, W, A)>,
}

impl<X, W, A> Quantized<X, W, A> {
    /// With the offsets of input and output.
    pub(in crate::vhtp) const fn new(in_offset: i32, out_offset: i32) -> Self {
        Self { in_offset, out_offset, types: PhantomData }
    }
}

impl<X, W, A> Clone for Quantized<X, W, A> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<X, W, A> Copy for Quantized<X, W, A> {}

impl<X: Fixed, W: Fixed, A: Width> Scheme for Quantized<X, W, A> {
    type X = X;
    type W = W;
    type Operand = A::Operand;
    type Sum = A::Sum;
    const ZERO: A::Sum = A::ZERO;
    const LONG_BLOCKS: bool = A::LONG_BLOCKS;

    #[inline(always)]
    fn activation(self, x: X) -> A::Operand {
        A::operand(x.stored().wrapping_add(self.in_offset))
    }
    #[inline(always)]
    fn weight(self, w: W) -> A::Operand {
        A::operand(w.stored())
    }
    #[inline(always)]
    fn start(_: &Channel) -> A::Sum {
        A::ZERO // the bias is added to the 64-bit sum
    }
    #[inline(always)]
    fn multiply_add(sum: A::Sum, x: A::Operand, w: A::Operand) -> A::Sum {
        A::multiply_add(sum, x, w)
    }
    #[inline(always)]
    fn add(sum: A::Sum, x: A::Operand) -> A::Sum {
        A::add(sum, x)
    }
    #[inline(always)]
    fn finish(self, sum: A::Sum, activations: A::Sum, channel: &Channel) -> X {
        let offsets = A::wide(activations).wrapping_mul(i64::from(channel.weight_offset));
        let acc = A::wide(sum).wrapping_add(offsets).wrapping_add(channel.bias);
        let steps = channel.multiplier.apply(acc);
        X::clamped(steps.wrapping_sub(i64::from(self.out_offset)))
    }
}

/// `sum + x * w`: the product of two float16 numbers is exact in float32, and so is the sum in
/// float64 unless its terms differ by a factor of more than 2^30.
#[inline(always)]
fn add_product(sum: f64, x: f32, w: f32) -> f64 {
    sum + f64::from(x * w)
}

/// Float16 operands and results. Sums start with the bias, are exact, and become float32 before
/// they become float16.
#[derive(Clone, Copy)]
pub(in crate::vhtp) struct Float<R> {
    weights: Unit,
    result: Unit,
    element: PhantomData<R>,
}

impl<R> Float<R> {
    /// With the units that convert weights and results.
    pub(in crate::vhtp) const fn new(weights: Unit, result: Unit) -> Self {
        Self { weights, result, element: PhantomData }
    }
}

impl<R: Real> Scheme for Float<R> {
    type X = R;
    type W = R;
    type Operand = f32;
    type Sum = f64;
    const ZERO: f64 = 0.0;
    const LONG_BLOCKS: bool = false;

    #[inline(always)]
    fn activation(self, x: R) -> f32 {
        x.operand()
    }
    #[inline(always)]
    fn weight(self, w: R) -> f32 {
        w.converted(self.weights)
    }
    #[inline(always)]
    fn start(channel: &Channel) -> f64 {
        channel.bias_real.into()
    }
    #[inline(always)]
    fn multiply_add(sum: f64, x: f32, w: f32) -> f64 {
        add_product(sum, x, w)
    }
    #[inline(always)]
    fn add(sum: f64, _: f32) -> f64 {
        sum
    }
    #[inline(always)]
    fn finish(self, sum: f64, _: f64, _: &Channel) -> R {
        R::rounded((sum as f32).into(), self.result)
    }
}

/// Float16 activations, 8-bit weights that are scaled behind the sum.
#[derive(Clone, Copy)]
pub(in crate::vhtp) struct Mixed<R> {
    result: Unit,
    element: PhantomData<R>,
}

impl<R> Mixed<R> {
    /// With the unit that converts results.
    pub(in crate::vhtp) const fn new(result: Unit) -> Self {
        Self { result, element: PhantomData }
    }
}

impl<R: Real> Scheme for Mixed<R> {
    type X = R;
    type W = i8;
    type Operand = f32;
    type Sum = f64;
    const ZERO: f64 = 0.0;
    const LONG_BLOCKS: bool = false;

    #[inline(always)]
    fn activation(self, x: R) -> f32 {
        x.operand()
    }
    #[inline(always)]
    fn weight(self, w: i8) -> f32 {
        f32::from(w)
    }
    #[inline(always)]
    fn start(_: &Channel) -> f64 {
        0.0 // the bias is added to the scaled sum
    }
    #[inline(always)]
    fn multiply_add(sum: f64, x: f32, w: f32) -> f64 {
        add_product(sum, x, w)
    }
    #[inline(always)]
    fn add(sum: f64, x: f32) -> f64 {
        sum + f64::from(x)
    }
    #[inline(always)]
    fn finish(self, sum: f64, activations: f64, channel: &Channel) -> R {
        let sum = sum + activations * f64::from(channel.weight_offset);
        let sum = sum * f64::from(channel.weight_scale) + f64::from(channel.bias_real);
        R::rounded((sum as f32).into(), self.result)
    }
}

/// A scheme as data, decided at prepare.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Numbers {
    /// Quantized.
    Quantized {
        /// Activations.
        x: FixedType,
        /// Weights.
        w: FixedType,
        /// Whether 16-bit operands and 32-bit sums suffice.
        narrow: bool,
        /// Offset of the input.
        in_offset: i32,
        /// Offset of the output.
        out_offset: i32,
    },
    /// Float16 arithmetic.
    Float {
        /// Type of operands and result.
        element: RealType,
        /// What converts weights.
        weights: Unit,
        /// What converts results.
        result: Unit,
    },
    /// Float16 arithmetic with signed 8-bit weights.
    Mixed {
        /// Type of activations and result.
        element: RealType,
        /// What converts results.
        result: Unit,
    },
}

/// Runs `$body` with `$scheme` bound to the quantized scheme that `$numbers` describes, `None` for
/// pairs never compiled, or `$real_body` with `$real` bound to its float16 scheme.
macro_rules! with_scheme {
    ($numbers:expr, $scheme:ident => $body:expr, $real:ident => $real_body:expr) => {{
        use $crate::vhtp::kernels::element::{FixedType as T, RealType, F16};
        use $crate::vhtp::kernels::scheme::{Float, Mixed, Narrow, Numbers, Quantized, Wide};
        use zerocopy::little_endian::{F32, I16, U16};
        match $numbers {
            Numbers::Quantized { x, w, narrow, in_offset: i, out_offset: o } => {
                match (x, w, narrow) {
                    (T::U8, T::U8, true) => {
                        let $scheme = Quantized::<u8, u8, Narrow>::new(i, o);
                        $body
                    }
                    (T::U8, T::I8, true) => {
                        let $scheme = Quantized::<u8, i8, Narrow>::new(i, o);
                        $body
                    }
                    (T::I8, T::U8, true) => {
                        let $scheme = Quantized::<i8, u8, Narrow>::new(i, o);
                        $body
                    }
                    (T::I8, T::I8, true) => {
                        let $scheme = Quantized::<i8, i8, Narrow>::new(i, o);
                        $body
                    }
                    (T::U8, T::U8, false) => {
                        let $scheme = Quantized::<u8, u8, Wide>::new(i, o);
                        $body
                    }
                    (T::U8, T::I8, false) => {
                        let $scheme = Quantized::<u8, i8, Wide>::new(i, o);
                        $body
                    }
                    (T::I8, T::U8, false) => {
                        let $scheme = Quantized::<i8, u8, Wide>::new(i, o);
                        $body
                    }
                    (T::I8, T::I8, false) => {
                        let $scheme = Quantized::<i8, i8, Wide>::new(i, o);
                        $body
                    }
                    (T::U16, T::U8, _) => {
                        let $scheme = Quantized::<U16, u8, Wide>::new(i, o);
                        $body
                    }
                    (T::U16, T::I8, _) => {
                        let $scheme = Quantized::<U16, i8, Wide>::new(i, o);
                        $body
                    }
                    (T::U16, T::U16, _) => {
                        let $scheme = Quantized::<U16, U16, Wide>::new(i, o);
                        $body
                    }
                    (T::U16, T::I16, _) => {
                        let $scheme = Quantized::<U16, I16, Wide>::new(i, o);
                        $body
                    }
                    (T::I16, T::I8, _) => {
                        let $scheme = Quantized::<I16, i8, Wide>::new(i, o);
                        $body
                    }
                    (T::I16, T::I16, _) => {
                        let $scheme = Quantized::<I16, I16, Wide>::new(i, o);
                        $body
                    }
                    _ => None,
                }
            }
            Numbers::Float { element: RealType::F16, weights, result } => {
                let $real = Float::<F16>::new(weights, result);
                $real_body
            }
            Numbers::Float { element: RealType::F32, weights, result } => {
                let $real = Float::<F32>::new(weights, result);
                $real_body
            }
            Numbers::Mixed { element: RealType::F16, result } => {
                let $real = Mixed::<F16>::new(result);
                $real_body
            }
            Numbers::Mixed { element: RealType::F32, result } => {
                let $real = Mixed::<F32>::new(result);
                $real_body
            }
        }
    }};
}
pub(in crate::vhtp) use with_scheme;
