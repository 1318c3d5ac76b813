"""Explain trees on a terminal: every figure with the parts that sum to it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from margincover.model.explain import ExplainNode
from margincover.model.results import StatusResult
from margincover.report import format as fmt


def explain_trees(result: StatusResult) -> RenderableType:
    """Return, pool by pool, the trees of equity, maintenance and initial margin; empty when none were asked for."""
    parts: list[RenderableType] = []
    for pool in result.pools:
        if not pool.explain:
            continue
        root = Tree(Text(pool.pool_id, style="bold"))
        for node in pool.explain:
            _add(root, node)
        parts += [root, Text("")]
    return Group(*parts)


def _add(parent: Tree, node: ExplainNode) -> None:
    line = Text(f"{node.label}: ")
    line.append(fmt.native(node.value, node.unit), style="bold" if node.children else "")
    if node.detail:
        line.append(f"  {node.detail}", style="dim")
    branch = parent.add(line)
    for child in node.children:
        _add(branch, child)
