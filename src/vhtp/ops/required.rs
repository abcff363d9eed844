//! Parameters without which an op means nothing.

/// The parameters that an op of this type must have; none for a type that is not known.
pub(in crate::vhtp) fn required(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "Argmax" | "Argmin" | "CumulativeSum" | "ExpandDims" | "Gather" | "LogSoftmax" | "Pack"
        | "UnPack" => &["axis"],
        "LayerNorm" | "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum"
        | "ReduceSumSquare" | "RmsNorm" => &["axes"],
        "Conv2d" | "Conv3d" | "DepthWiseConv2d" | "TransposeConv2d" => &["stride", "pad_amount"],
        "ElementWiseBinary" | "ElementWiseNeuron" | "ElementWiseUnary" => &["operation"],
        "PoolAvg2d" | "PoolMax2d" => &["filter_size", "stride", "pad_amount"],
        "DepthToSpace" | "SpaceToDepth" => &["block_size"],
        "ChannelShuffle" => &["num_groups"],
        "GroupNorm" => &["group"],
        "Lrn" => &["radius"],
        "Pad" => &["scheme", "pad_amount"],
        "ReluMinMax" => &["min_value", "max_value"],
        "Split" => &["axis", "split_index"],
        "StridedSlice" => &["ranges"],
        "Tile" => &["multiples"],
        "TopK" => &["k"],
        "Transpose" => &["perm"],
        _ => &[],
    }
}
