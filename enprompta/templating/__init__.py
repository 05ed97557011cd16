"""Prompt templates: find the `{{variables}}` of a text, validate values, and fill them in.

A variable is `{{name}}`, with optional white space in the braces. A name is one or more parts joined by dots; a part
starts with a letter, a digit or `_` and continues with those or `-`. So `{{topic}}`, `{{ first-name }}`,
`{{input.city}}` and `{{steps.draft.output}}` are variables, and `{{ }}`, `{{a b}}` and `{{.x}}` are ordinary text.
Names are flat keys: `values["input.city"]`, not `values["input"]["city"]`.

Values are converted to text by the same table as in requests (docs/calls.md, "What values become"): text is unchanged,
and braces in it are not parsed again; a boolean is `true` or `false`; a whole float loses its `.0`, as in the API's
JSON; a `Decimal` keeps its digits; dates are ISO 8601. None counts as not given: the default is used, and without a
default the variable is missing. Other types are refused; convert lists and objects to text, for example with
`json.dumps`.

All functions are pure and take time linear in the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.templating import rendering as rendering
    from enprompta.templating import template_problems as template_problems
    from enprompta.templating.rendering import Variable, render, render_all, validate, variables
    from enprompta.templating.template_problems import TemplateProblem, problems
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".": "rendering template_problems",
            ".rendering": "Variable render render_all validate variables",
            ".template_problems": "TemplateProblem problems",
        },
    )

__all__ = ["TemplateProblem", "Variable", "problems", "render", "render_all", "validate", "variables"]
