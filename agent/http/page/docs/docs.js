// The reference: Swagger UI over the server's own document, and nothing of any other host.

import { knownKey } from "../http.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// What is tried is shown as a command for the terminal: without the key, since screens are seen and shared.
const HIDDEN = "<key>";
const withoutKey = (request) =>
  request?.update("headers", (headers) => headers?.map((value, name) =>
    /^(x-api-key|authorization)$/i.test(name) ? HIDDEN : value));
const hidesKeys = (system) => ({
  wrapComponents: {
    curl: (Curl) => (props) => system.React.createElement(Curl, { ...props, request: withoutKey(props.request) }),
  },
});

const ui = SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  filter: true,
  plugins: [hidesKeys],
  validatorUrl: null, // it would send the document to another host
  onComplete() {
    const key = knownKey(); // as the other pages were told
    if (key) ui.preauthorizeApiKey("key", key);
  },
});
