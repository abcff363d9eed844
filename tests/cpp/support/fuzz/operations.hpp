// SPDX-License-Identifier: Apache-2.0 OR MIT
// Operations at random that have a chance to be right.

#pragma once

#include <string>

#include "values.hpp"

/** A tensor of a graph that is being composed. */
struct Known {
  std::uint32_t id;
  Qnn_DataType_t data_type;
  std::vector<std::uint32_t> dims;
};

/** An operation over tensors of a graph and new ones. Others are left to chance, but for types and
 *  shapes it knows what often goes together. */
class Proposal {
 public:
  using Dims = std::vector<std::uint32_t>;

  Proposal(Values& values, const std::vector<Known>& known, Qnn_TensorType_t result)
      : values_(values), known_(known) {
    const Form form = any_form();
    type_ = form.type;
    const Known& first = known[numbers_.below(known.size())];
    add(inputs_, existing(first));
    for (std::uint32_t more = 1; more < form.inputs; ++more) {
      add(inputs_, numbers_.chance(40) ? existing(known[numbers_.below(known.size())])
                                       : constant(first));
    }
    for (std::uint32_t more = 0; more < form.outputs; ++more) {
      const Qnn_DataType_t data_type = numbers_.chance(75) ? first.data_type : usual_type();
      add(outputs_, made(result, data_type, result_dims(first.dims)));
    }
    read_params(form.params);
  }

  /** The operation. What it points to lives as long as the proposal. */
  Qnn_OpConfig_t op(const char* name) {
    input_list_.clear();
    output_list_.clear();
    for (const Operand* operand : inputs_) {
      input_list_.push_back(operand->tensor);
    }
    for (const Operand* operand : outputs_) {
      output_list_.push_back(operand->tensor);
    }
    for (const auto& tensor : param_tensors_) {
      params_[tensor.first].tensorParam = tensor.second->tensor;
    }
    return make_op(name, type_.c_str(), input_list_, output_list_, params_);
  }
  /** Creates the new tensors; gives the results. */
  std::vector<Known> declare(Qnn_GraphHandle_t graph) {
    for (Operand& operand : operands_) {
      if (operand.is_new) {
        QNN(tensorCreateGraphTensor, graph, &operand.tensor);
      }
    }
    std::vector<Known> results;
    for (const Operand* output : outputs_) {
      results.push_back({output->tensor.v1.id, output->tensor.v1.dataType, output->dims});
    }
    return results;
  }

 private:
  struct Operand {
    Dims dims;
    std::string name;
    std::vector<std::uint8_t> data;
    Qnn_Tensor_t tensor;
    bool is_new;
  };
  struct Form {
    const char* type;
    std::uint32_t inputs;
    std::uint32_t outputs;
    /** Names, each with a letter for what it is: u a small number, b a truth, f a real number, v a
     *  number for each axis, a some axes, 2 and 4 a pair and two pairs, p a pair for each axis, r
     *  three numbers for each axis. */
    const char* params;
  };

  Form any_form() {
    static constexpr std::array<Form, 45> forms{{
        {"Argmax", 1, 1, "axis:u keep_dims:b"}, {"Argmin", 1, 1, "axis:u"},
        {"Batchnorm", 3, 1, ""}, {"ChannelShuffle", 1, 1, "num_groups:u axis:u"},
        {"Concat", 2, 1, "axis:u"}, {"Conv2d", 2, 1, "stride:2 pad_amount:4"},
        {"Conv2d", 3, 1, "stride:2 pad_amount:4 group:u"}, {"CumulativeSum", 1, 1, "axis:u"},
        {"DepthToSpace", 1, 1, "block_size:2 mode:u"}, {"Elu", 1, 1, "alpha:f"},
        {"DepthWiseConv2d", 2, 1, "stride:2 pad_amount:4"}, {"Gather", 2, 1, "axis:u"},
        {"ElementWiseBinary", 2, 1, "operation:u"}, {"ElementWiseUnary", 1, 1, "operation:u"},
        {"ElementWiseNeuron", 1, 1, "operation:u"}, {"ElementWiseSelect", 3, 1, ""},
        {"FullyConnected", 2, 1, ""}, {"FullyConnected", 3, 1, "keep_dims:b"},
        {"GatherElements", 2, 1, "axis:u"}, {"GatherNd", 2, 1, "batch_dims:u"},
        {"GroupNorm", 2, 1, "epsilon:f group:u"}, {"InstanceNorm", 3, 1, "epsilon:f"},
        {"L2Norm", 1, 1, "axis:u"}, {"LayerNorm", 2, 1, "axes:a epsilon:f"},
        {"Lrn", 1, 1, "radius:u alpha:f"}, {"MatMul", 2, 1, ""},
        {"MatMul", 2, 1, "transpose_in0:b transpose_in1:b"}, {"Pack", 2, 1, "axis:u"},
        {"Pad", 1, 1, "scheme:u pad_amount:p"}, {"ReluMinMax", 1, 1, "min_value:f max_value:f"},
        {"PoolAvg2d", 1, 1, "filter_size:2 stride:2 pad_amount:4"},
        {"PoolMax2d", 1, 1, "filter_size:2 stride:2 pad_amount:4"},
        {"ReduceMean", 1, 1, "axes:a keep_dims:b"}, {"ReduceSum", 1, 1, "axes:a"},
        {"ResizeBilinear", 1, 1, "align_corners:b"}, {"ScatterElements", 3, 1, "axis:u"},
        {"Softmax", 1, 1, "beta:f"}, {"SpaceToDepth", 1, 1, "block_size:2"},
        {"Split", 1, 2, "axis:u split_index:u"}, {"StridedSlice", 1, 1, "ranges:r"},
        {"Tile", 1, 1, "multiples:v"}, {"TopK", 1, 2, "k:u"}, {"Transpose", 1, 1, "perm:v"},
        {"TransposeConv2d", 2, 1, "stride:2 pad_amount:4"}, {"UnPack", 1, 2, "axis:u"},
    }};
    if (numbers_.chance(60)) {
      return numbers_.one_of(forms);
    }
    const QnnBackend_OperationName_t* names = nullptr;
    std::uint32_t count = 0;
    QNN(backendGetSupportedOperations, values_.pick(backends), &count, &names);
    const char* const type = count == 0 ? "None" : names[numbers_.below(count)].name;
    return {type, 1 + numbers_.below(2), 1, numbers_.chance(10) ? "axis:u" : ""};
  }

  Qnn_DataType_t usual_type() {
    static constexpr std::array<Qnn_DataType_t, 6> usual{
        {QNN_DATATYPE_UFIXED_POINT_8, QNN_DATATYPE_UFIXED_POINT_8, QNN_DATATYPE_SFIXED_POINT_8,
         QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_INT_32, QNN_DATATYPE_BOOL_8}};
    return numbers_.chance(80) ? numbers_.one_of(usual) : values_.data_type();
  }

  /** A shape that operations make of another. */
  Dims result_dims(Dims dims) {
    if (dims.empty()) {
      return dims;
    }
    const std::size_t axis = numbers_.below(dims.size());
    std::uint32_t count = 1;
    for (const std::uint32_t dim : dims) {
      count *= dim;
    }
    switch (numbers_.below(16)) {
      case 0: std::reverse(dims.begin(), dims.end()); break;
      case 1: dims = {count}; break;
      case 2: dims = {1, count}; break;
      case 3: dims[axis] = 1; break;
      case 4: dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis)); break;
      case 5: dims[axis] *= 2; break;
      case 6: dims.insert(dims.begin(), 1); break;
      case 7: dims = {dims.back()}; break;
      case 8: dims.insert(dims.begin(), 2); break;
      case 9: dims[axis] = 1 + numbers_.below(4); break;
      default: break;
    }
    return dims;
  }

  Operand& existing(const Known& known) {
    Operand& operand = made(QNN_TENSOR_TYPE_NATIVE, known.data_type, known.dims);
    operand.tensor.v1.id = known.id;
    operand.is_new = false;
    return operand;
  }

  /** Weights, indices, a second operand. */
  Operand& constant(const Known& beside) {
    const std::uint32_t last = beside.dims.empty() ? 1 : beside.dims.back();
    const std::array<Dims, 5> usual{
        {beside.dims, {last}, {last, last}, {1, 1, last, last}, {2, 2, last, 1}}};
    const Qnn_DataType_t data_type = numbers_.chance(60) ? beside.data_type : usual_type();
    const auto kind = numbers_.chance(95) ? QNN_TENSOR_TYPE_STATIC : QNN_TENSOR_TYPE_NULL;
    Operand& operand = made(kind, data_type, numbers_.one_of(usual));
    fill(operand, numbers_.chance(50) ? 256 : 2);
    return operand;
  }
  void fill(Operand& operand, std::uint32_t bound) {
    std::size_t bytes = 8;    // of the widest element
    for (const std::uint32_t dim : operand.dims) {
      bytes = std::min<std::size_t>(bytes * dim, 1U << 16);
    }
    operand.data.resize(bytes);
    for (std::uint8_t& byte : operand.data) {
      byte = static_cast<std::uint8_t>(numbers_.below(bound));
    }
    set_data(operand.tensor, operand.data);
  }

  Operand& made(Qnn_TensorType_t kind, Qnn_DataType_t data_type, const Dims& dims) {
    operands_.emplace_back();
    Operand& operand = operands_.back();
    operand.dims = dims;
    operand.name = "t" + std::to_string(numbers_.next());
    operand.is_new = true;
    operand.tensor = u8_tensor(operand.name.c_str(), kind, operand.dims.data(),
                               static_cast<std::uint32_t>(operand.dims.size()));
    operand.tensor.v1.dataType = data_type;
    operand.tensor.v1.quantizeParams.scaleOffsetEncoding.offset = numbers_.chance(70) ? 0 : -128;
    if (numbers_.chance(30)) {
      operand.tensor = Values::second_version(operand.tensor);
    }
    return operand;
  }
  static void add(std::vector<Operand*>& list, Operand& operand) { list.push_back(&operand); }

  void read_params(const std::string& text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t colon = text.find(':', begin);
      names_.push_back(text.substr(begin, colon - begin));
      add_param(text[colon + 1]);
      begin = colon + 3;
    }
  }
  void add_param(char what) {
    Qnn_Param_t param = QNN_PARAM_INIT;
    param.name = names_.back().c_str();
    param.paramType = QNN_PARAMTYPE_SCALAR;
    Qnn_Scalar_t& scalar = param.scalarParam;
    const std::uint32_t rank = std::max<std::uint32_t>(
        1, static_cast<std::uint32_t>(inputs_.front()->dims.size()));
    switch (what) {
      case 'b':
        scalar.dataType = QNN_DATATYPE_BOOL_8;
        scalar.bool8Value = numbers_.chance(50);
        break;
      case 'f':
        scalar.dataType = QNN_DATATYPE_FLOAT_32;
        scalar.floatValue = 0.5F;
        break;
      case 'u':
        scalar.dataType = QNN_DATATYPE_UINT_32;
        scalar.uint32Value = numbers_.number(5);
        break;
      case 'v': add_words(param, {rank}, 0); break;
      case 'a': add_words(param, {1 + numbers_.below(rank)}, 0); break;
      case '2': add_words(param, {2}, 1); break;
      case '4': add_words(param, {2, 2}, 2); break;
      case 'p': add_words(param, {rank, 2}, 2); break;
      default: add_words(param, {rank, 3}, 1); break;
    }
    params_.push_back(param);
  }
  /** A parameter of many numbers: 0, 1, 2... or rather each 1, or each 0. */
  void add_words(Qnn_Param_t& param, const Dims& dims, std::uint32_t rather) {
    Operand& operand = made(QNN_TENSOR_TYPE_STATIC, QNN_DATATYPE_UINT_32, dims);
    std::uint32_t count = 1;
    for (const std::uint32_t dim : dims) {
      count *= dim;
    }
    operand.data.resize(std::size_t{count} * 4);
    for (std::uint32_t index = 0; index < count; ++index) {
      const std::uint32_t usual = rather == 0 ? index : rather % 2;
      const std::uint32_t word = numbers_.chance(85) ? usual : numbers_.number(4);
      std::memcpy(&operand.data[std::size_t{index} * 4], &word, sizeof word);
    }
    set_data(operand.tensor, operand.data);
    param.paramType = QNN_PARAMTYPE_TENSOR;
    param_tensors_.push_back({params_.size(), &operand});
  }

  Values& values_;
  Numbers& numbers_ = values_.numbers;
  const std::vector<Known>& known_;
  std::string type_;
  std::deque<Operand> operands_;    // they stay where they are
  std::deque<std::string> names_;
  std::vector<Operand*> inputs_, outputs_;
  std::vector<Qnn_Param_t> params_;
  std::vector<std::pair<std::size_t, Operand*>> param_tensors_;
  std::vector<Qnn_Tensor_t> input_list_, output_list_;
};
