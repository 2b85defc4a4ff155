"""The manifest of an export: all that somebody without danlu must know, for programs and people."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import danlu
from danlu.contracts import DataDescription, Export, Port, name_of
from danlu.runs.config import RunConfig

EXAMPLES = 8
"""Samples in example.npz."""
ROUNDING = "low + step * round((x - low) / step), kept within [low, high]"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says.

    Attributes:
        family: of the run.
        data: shape, scale, levels and classes.
        parts: name of a function -> files, inputs, output and facts.
    """

    family: str
    data: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> str:
        """The file."""
        return json.dumps({"danlu": danlu.__version__, **asdict(self)}, indent=1) + "\n"


def manifest(
    config: RunConfig, parts: Mapping[str, Export], errors: Mapping[str, float]
) -> Manifest:
    """The manifest of a run's parts; `errors` names the files that were written."""
    described = {}
    for name, part in parts.items():
        files = {f: error for f, error in errors.items() if f.rpartition(".")[0] == name}
        if files:
            described[name] = _part(part, files)
    return Manifest(config.family, _data(config.description, config.class_names), described)


def _data(description: DataDescription, class_names: tuple[str, ...]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "shape": list(description.shape),
        "low": float(description.low),
        "high": float(description.high),
        "levels": description.levels,
    }
    if description.levels is not None:
        facts |= {"step": description.spacing, "rounding": ROUNDING}
    if description.classes:
        facts |= {"classes": description.classes, "null_class": description.classes}
        facts["class_names"] = list(class_names)
    elif description.condition:
        facts["condition"] = name_of(description.condition)
    return facts


def _part(part: Export, files: Mapping[str, float]) -> dict[str, Any]:
    example = part.example(1)
    inputs = {
        name: {**_port(port), "type": str(tensor.dtype).removeprefix("torch."),
               "shape": ["batch", *tensor.shape[1:]]}
        for (name, port), tensor in zip(part.inputs.items(), example, strict=True)
    }  # fmt: skip
    return {
        "about": part.about,
        "files": {name: {"largest_error": error} for name, error in files.items()},
        "inputs": inputs,
        "output": _port(part.output),
        **part.facts,
    }


def _port(port: Port) -> dict[str, Any]:
    return {key: value for key, value in asdict(port).items() if value is not None}


def readme(facts: Manifest) -> str:
    """The same for people."""
    data = facts.data
    lines = [
        f"# A {facts.family} model, exported from danlu {danlu.__version__}\n",
        f"An example has the shape {data['shape']} on the scale {data['low']:g} to "
        f"{data['high']:g}. The first axis of every tensor is the batch, of any size. The numbers "
        "of this page, and more, are in `manifest.json`.\n",
    ]
    if data["levels"]:
        lines += [
            f"The data has {data['levels']} levels, {data['step']:.6g} apart. What a function "
            "returns is not rounded yet; "
            f"a sample is `{ROUNDING}`.\n",
        ]
    if data.get("classes"):
        names = ", ".join(f"{index} {name}" for index, name in enumerate(data["class_names"]))
        lines += [f"Class ids and names: {names}; {data['null_class']} stands for no class.\n"]
    for name, part in facts.parts.items():
        lines += _section(name, part)
    lines += [
        "## example.npz\n",
        "`noise_0`, `noise_1`, … in the order in which sampling draws them, `class_id`, and the "
        "samples `x` "
        f"that danlu makes of them: what `danlu sample RUN --n {EXAMPLES} --out x.npz` writes.\n",
    ]
    return "\n".join(lines)


def _section(name: str, part: Mapping[str, Any]) -> list[str]:
    files = ", ".join(f"`{file}`" for file in part["files"])
    worst = max(file["largest_error"] for file in part["files"].values())
    lines = [
        f"## {name}\n",
        f"{part['about'][:1].upper()}{part['about'][1:]}. Files: {files}; they differ from the "
        f"model by {worst:.1e} at most.\n",
        "| input | type | shape | what it is |",
        "|---|---|---|---|",
    ]
    for key, port in part["inputs"].items():
        shape = ", ".join(map(str, port["shape"]))
        span = f", {port['low']:.6g} to {port['high']:.6g}" if "low" in port else ""
        lines.append(f"| `{key}` | {port['type']} | [{shape}] | {port['about']}{span} |")
    lines += [f"\nOutput: {part['output']['about']}.\n"]
    if "path" in part:
        lines += _loop(part)
    return lines


def _loop(part: Mapping[str, Any]) -> list[str]:
    """How a denoiser is sampled."""
    path = part["path"]
    lines = [
        f"Sampling walks down {len(part['levels'])} noise levels, `levels` in the manifest, with "
        f"the solver {part['solver']}.\n",
        f"- {path['state']};",
        f"- start: {path['start']};",
        "- euler, from level to next: y = D + (next / level) * (y - D);",
        "- ddim of eta: y = D + sqrt(next**2 - v) / level * (y - D) + sqrt(v) * noise, with "
        "v = (eta * next / level)**2 * (level**2 - next**2);",
        "- heun: on the line, in x and t, slope dx/dt = (y - D) / level - D, and the mean of the "
        "slopes at both ends of a step;",
        f"- {path['end']}.",
    ]
    if "guidance" in part:
        lines += [
            f"- Guidance of scale s, `guidance` in the manifest for each level: {part['guided']}."
        ]
    return [*lines, ""]
