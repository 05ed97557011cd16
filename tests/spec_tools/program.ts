// Uses the generated types as a caller would: the compiler checks every line. test_typescript.py copies it beside api.ts.
import type { components, operations, paths } from "./api";

type Answer<O extends keyof operations, S extends keyof operations[O]["responses"]> =
  operations[O]["responses"][S] extends { content: { "application/json": infer Body } } ? Body : never;

export function titles(page: Answer<"prompts.list", 200>): string[] {
  return page.data.map((prompt) => prompt.title);
}

export function tokens(stats: Answer<"executions.stats", 200>): number {
  return stats.data.reduce((sum, row) => sum + row.tokens, 0);
}

export function addresses(hooks: Answer<"webhooks.list", 200>): string[] {
  // @ts-expect-error: a webhook has no `address`
  hooks.data.map((hook) => hook.address);
  return hooks.data.map((hook) => hook.url);
}

export const execute: components["schemas"]["ExecutePrompt"] = {
  provider: "openai",
  variables: { topic: "our editor", count: 3, urgent: true, nested: { any: ["thing"] } },
};

export const run: components["schemas"]["ExecuteWorkflow"] = { input: { topic: "our editor" } };

// @ts-expect-error: `content` is required
export const incomplete: components["schemas"]["PromptCreate"] = { title: "t" };

export function next(page: Answer<"workflows.executions.list", 200>): string | null {
  return page.pagination.has_more ? page.pagination.next_cursor : null;
}

export function cause(event: components["schemas"]["WebhookEvent"]): string {
  switch (event.event) {
    case "workflow.failed":
      return event.data.error ?? event.data.workflow_id;
    case "team.member_added":
    case "team.member_removed":
      return event.data.email;
    case "prompt.executed":
      return event.data.prompt_id;
    case "workflow.completed":
      return event.data.execution_id;
  }
}

export type Live = paths["/api/sdk/prompts/{slug}"]["get"]["responses"][200]["content"]["application/json"];
export const known = (live: Live): unknown => live.variables["tone"];
