const key = document.getElementById("key").textContent;
window.ui = SwaggerUIBundle({
  url: "/workbench/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete: () => window.ui.preauthorizeApiKey("apiKey", key),
});
