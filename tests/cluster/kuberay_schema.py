"""What KubeRay's API reference (ray.io/v1) says a RayService may hold, as a JSON schema; pods as far as we use them.

Field names, types and enumerations are those of https://ray-project.github.io/kuberay/reference/api/. A field that
the reference does not have is refused here, as the API server would drop it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def closed(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
LABEL: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}
QUANTITIES: Schema = {"type": "object", "additionalProperties": QUANTITY}

CONTAINER = closed(
    {
        "name": LABEL,
        "image": TEXT,
        "imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
        "command": {"type": "array", "items": TEXT},
        "args": {"type": "array", "items": TEXT},
        "workingDir": TEXT,
        "env": {"type": "array", "items": closed({"name": TEXT, "value": TEXT}, ("name", "value"))},
        "ports": {
            "type": "array",
            "items": closed(
                {"name": LABEL, "containerPort": {"type": "integer", "maximum": 65535}}, ("containerPort",)
            ),
        },
        "resources": closed({"requests": QUANTITIES, "limits": QUANTITIES}),
        "volumeMounts": {
            "type": "array",
            "items": closed({"name": LABEL, "mountPath": TEXT, "readOnly": FLAG}, ("name", "mountPath")),
        },
    },
    ("name", "image"),
)
VOLUME = closed(
    {
        "name": LABEL,
        "secret": closed({"secretName": LABEL}, ("secretName",)),
        "persistentVolumeClaim": closed({"claimName": LABEL, "readOnly": FLAG}, ("claimName",)),
    },
    ("name",),
)
POD_TEMPLATE = closed(
    {
        "metadata": closed({"labels": TEXTS, "annotations": TEXTS}),
        "spec": closed(
            {
                "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
                "volumes": {"type": "array", "items": VOLUME},
                "nodeSelector": TEXTS,
            },
            ("containers",),
        ),
    },
    ("spec",),
)
RAY_CLUSTER = closed(
    {
        "suspend": FLAG,
        "managedBy": TEXT,
        "autoscalerOptions": closed(
            {
                "image": TEXT,
                "idleTimeoutSeconds": COUNT,
                "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
                "version": {"enum": ["v1", "v2"]},
            }
        ),
        "headServiceAnnotations": TEXTS,
        "enableInTreeAutoscaling": FLAG,
        "gcsFaultToleranceOptions": {"type": "object"},
        "headGroupSpec": closed(
            {
                "template": POD_TEMPLATE,
                "headService": {"type": "object"},
                "enableIngress": FLAG,
                "rayStartParams": TEXTS,
                "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
            },
            ("template",),
        ),
        "rayVersion": TEXT,
        "workerGroupSpecs": {
            "type": "array",
            "items": closed(
                {
                    "groupName": LABEL,
                    "replicas": COUNT,
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "idleTimeoutSeconds": COUNT,
                    "rayStartParams": TEXTS,
                    "template": POD_TEMPLATE,
                    "numOfHosts": {"type": "integer", "minimum": 1},
                },
                ("groupName", "template"),
            ),
        },
    },
    ("headGroupSpec",),
)
RAY_SERVICE = closed(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayService"},
        "metadata": closed({"name": LABEL, "namespace": LABEL, "labels": TEXTS, "annotations": TEXTS}, ("name",)),
        "spec": closed(
            {
                "serveService": {"type": "object"},
                "upgradeStrategy": closed({"type": {"enum": ["NewCluster", "None"]}}),
                "serveConfigV2": TEXT,
                "rayClusterConfig": RAY_CLUSTER,
                "excludeHeadPodFromServeSvc": FLAG,
            },
            ("serveConfigV2", "rayClusterConfig"),
        ),
    },
    ("apiVersion", "kind", "metadata", "spec"),
)
