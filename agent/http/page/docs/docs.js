// The reference: Swagger UI over the server's own document, and nothing of any other host.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const ui = SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  filter: true,
  validatorUrl: null, // it would send the document to another host
  onComplete() {
    const key = sessionStorage.getItem("offhook.key"); // as the other pages were told
    if (key) ui.preauthorizeApiKey("key", key);
  },
});
