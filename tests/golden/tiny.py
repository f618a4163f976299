"""A backbone of one operation, for what a real network does not do at will."""

from onnx import TensorProto, helper

from verger.backbone import Backbone

SIZE = 32


def backbone(operation: str = "Identity", fingerprint: str = "tiny") -> Backbone:
    """Three features: `operation` on the mean of each channel, 0 to 255.

    With ``Log`` a photo without any red, green or blue has a feature that is not finite.
    """
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node(operation, ["means"], ["features"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return Backbone(model.SerializeToString(), fingerprint, SIZE, 3, 1.0)
