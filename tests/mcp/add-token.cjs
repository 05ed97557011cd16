// Adds the bearer token to every request of a program that has no option for headers, as the conformance suite.
const token = `Bearer ${process.env.ENPROMPTA_MCP_TOKEN}`;
require("node:diagnostics_channel")
  .channel("undici:request:create")
  .subscribe(({ request }) => request.addHeader("authorization", token));
