"""The model as one ONNX graph that takes raw feature columns: encoding, network and calibration inside.

One input a feature, named as the feature, of shape [rows]: strings for categorical ones ("" is null, an
unknown value is treated as null), float32 for numbers, also of booleans (NaN is null). One output, named
as in `mainline.schema.ANSWERS`: the probability of class 1 [rows] of a binary model, of each class [rows,
classes] of a multiclass one; of a regression the value in the target's unit [rows]. The bytes depend on the
weights and the library versions only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import onnx
import polars as pl
import torch
from onnx import TensorProto, compose, helper, numpy_helper

from mainline.schema import ANSWERS
from pipeline.training.predictor import Predictor, Spec

OPSET = 20
ML_OPSET = 3  # of ai.onnx.ml, which has LabelEncoder
ROWS = "rows"
CORE = "core/"  # before every name that torch chose, so that none meets a feature's


def convert(predictor: Predictor) -> onnx.ModelProto:
    """The whole graph, checked. No feature is named as in ANSWERS, see `FeatureTable`."""
    spec = predictor.spec
    core = _rename_output(compose.add_prefix(_core(predictor), CORE), ANSWERS[spec.task])
    encoder = _encoder(spec, core.ir_version)
    codes, numbers = (output.name for output in encoder.graph.output)
    model = compose.merge_models(encoder, core, io_map=[(codes, f"{CORE}codes"), (numbers, f"{CORE}numbers")])
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def feeds(frame: pl.DataFrame, spec: Spec) -> dict[str, np.ndarray]:
    """Feature columns as the graph's inputs: what a service has to do, and all that it has to do."""
    texts = {name: frame[name].cast(pl.String).fill_null("").to_numpy() for name in spec.categorical}
    numbers = {name: frame[name].cast(pl.Float32).fill_null(float("nan")).to_numpy() for name in spec.numeric}
    return texts | numbers


def _core(predictor: Predictor) -> onnx.ModelProto:
    """The predictor's `forward` as ONNX, of `codes` int64 [rows, C] and `numbers` float32 [rows, N]."""
    spec = predictor.spec
    for name in ("torch.onnx", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)  # it misses torchvision, which we do not use
    example = (
        torch.zeros(7, len(spec.categorical), dtype=torch.int64),  # 0 and 1 rows would be taken as constants
        torch.zeros(7, len(spec.numeric)),
    )
    rows = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        predictor.cpu().eval(),
        example,
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=({0: rows}, {0: rows}),
        input_names=["codes", "numbers"],
        output_names=["output"],
        verbose=False,
    )
    if program is None:
        raise TypeError("torch.onnx.export gave no program")
    model = program.model_proto
    del model.functions[:]
    return model


def _rename_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    old = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [name if value == old else value for value in node.output]
        node.input[:] = [name if value == old else value for value in node.input]
    model.graph.output[0].name = name
    return model


def _encoder(spec: Spec, ir_version: int) -> onnx.ModelProto:
    """Feature columns to `codes` and `numbers`, as `pipeline.training.predictor.encode` makes them."""
    one, codes, numbers = (_own(name, spec) for name in ("one", "codes", "numbers"))
    nodes: list[onnx.NodeProto] = []
    for name in spec.categorical:
        nodes += [
            _label_encoder(name, f"code/{name}", spec.vocabularies[name]),
            helper.make_node("Unsqueeze", [f"code/{name}", one], [f"code column/{name}"]),
        ]
    nodes += [helper.make_node("Unsqueeze", [name, one], [f"number column/{name}"]) for name in spec.numeric]
    first = (*spec.categorical, *spec.numeric)[0]
    nodes += _stack([f"code column/{name}" for name in spec.categorical], codes, first, np.int64)
    nodes += _stack([f"number column/{name}" for name in spec.numeric], numbers, first, np.float32)
    graph = helper.make_graph(
        nodes,
        "model",
        [
            *(helper.make_tensor_value_info(name, TensorProto.STRING, [ROWS]) for name in spec.categorical),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [ROWS]) for name in spec.numeric),
        ],
        [
            helper.make_tensor_value_info(codes, TensorProto.INT64, [ROWS, len(spec.categorical)]),
            helper.make_tensor_value_info(numbers, TensorProto.FLOAT, [ROWS, len(spec.numeric)]),
        ],
        [numpy_helper.from_array(np.array([1], np.int64), one)],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def _own(name: str, spec: Spec) -> str:
    """A name inside the graph that is no feature's; a column's has no slash."""
    return f"own/{name}" if name in (*spec.categorical, *spec.numeric) else name


def _label_encoder(source: str, target: str, vocabulary: tuple[str, ...]) -> onnx.NodeProto:
    """Value i to i + 1, everything else to 0. The node cannot be empty, so null is spelled out."""
    known = {"": 0} | {value: index for index, value in enumerate(vocabulary, 1) if value}
    return helper.make_node(
        "LabelEncoder",
        [source],
        [target],
        domain="ai.onnx.ml",
        keys_strings=list(known),
        values_int64s=list(known.values()),
        default_int64=0,
    )


def _stack(columns: list[str], target: str, first: str, dtype: type) -> Iterable[onnx.NodeProto]:
    """Columns [rows, 1] side by side; without any, [rows, 0], as long as the input `first`."""
    if columns:
        return [helper.make_node("Concat", columns, [target], axis=1)]
    zero = numpy_helper.from_array(np.zeros(1, dtype), "")
    none = numpy_helper.from_array(np.zeros(1, np.int64), "")
    return [
        helper.make_node("Shape", [first], [f"{target}/rows"]),
        helper.make_node("Constant", [], [f"{target}/none"], value=none),
        helper.make_node("Concat", [f"{target}/rows", f"{target}/none"], [f"{target}/shape"], axis=0),
        helper.make_node("ConstantOfShape", [f"{target}/shape"], [target], value=zero),
    ]


def _strip(model: onnx.ModelProto) -> None:
    """Leave out what says how and where the graph was made: stack traces with paths, versions, remarks."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    model.producer_name, model.producer_version, model.doc_string, graph.doc_string = "mainline", "", "", ""
    graph.name = "model"
    imports = {one.domain: one for one in model.opset_import}  # merging left one twice
    del model.opset_import[:]
    model.opset_import.extend(imports[domain] for domain in sorted(imports))
    for node in graph.node:
        node.name = ""
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in graph.output:  # torch names the rows anew in each process
        value.type.tensor_type.shape.dim[0].dim_param = ROWS
