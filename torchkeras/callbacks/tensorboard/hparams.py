"""Hyper-parameters for TensorBoard's HParams page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

_TAGS = {"experiment": "_hparams_/experiment", "session_start_info": "_hparams_/session_start_info", "session_end_info": "_hparams_/session_end_info"}


def _summary(**data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import PLUGIN_DATA_VERSION, PLUGIN_NAME
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = HParamsPluginData(version=PLUGIN_DATA_VERSION, **data).SerializeToString()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content))
    return Summary(value=[Summary.Value(tag=_TAGS[next(iter(data))], metadata=metadata)])


def session_start(hparams: Mapping[str, Any], metrics: list[tuple[str, str]]) -> list[Any]:
    """Summaries that describe a run: its hyper-parameters, and where its metrics are.

    Args:
        hparams: Numbers, booleans and texts by name; other values are written as text.
        metrics: Of each metric the run below the log directory ("" for itself) and the tag.
    """
    from google.protobuf.struct_pb2 import Value
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

    start = SessionStartInfo(start_time_secs=time.time())
    infos = []
    for name, value in hparams.items():
        if isinstance(value, bool):
            start.hparams[name].CopyFrom(Value(bool_value=value))
            kind = api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, (int, float)):
            start.hparams[name].CopyFrom(Value(number_value=float(value)))
            kind = api_pb2.DATA_TYPE_FLOAT64
        else:
            start.hparams[name].CopyFrom(Value(string_value=str(value)))
            kind = api_pb2.DATA_TYPE_STRING
        infos.append(api_pb2.HParamInfo(name=name, type=kind))
    names = [api_pb2.MetricInfo(name=api_pb2.MetricName(group=group, tag=tag)) for group, tag in metrics]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=names, time_created_secs=time.time())
    return [_summary(experiment=experiment), _summary(session_start_info=start)]


def session_end(well: bool) -> Any:
    """The summary that ends a run, well or not."""
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo

    status = api_pb2.STATUS_SUCCESS if well else api_pb2.STATUS_FAILURE
    return _summary(session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()))
