// What went wrong, and what to do, in plain words.

/** `typeOnly`: whether a call without a microphone would work. */
export function describe(error) {
  switch (error.kind ?? error.name) {
    case "insecure":
      return {
        title: "This page isn't secure, so the browser keeps the microphone from it.",
        text: "Open it over HTTPS, or as http://localhost on the server itself. " +
          "“offhook serve --tls” serves HTTPS.",
        typeOnly: true,
      };
    case "NotAllowedError":
      return {
        title: "The microphone is blocked.",
        text: "Allow it for this site (the icon beside the address), then call again.",
        typeOnly: true,
      };
    case "NotFoundError":
    case "OverconstrainedError":
      return { title: "No microphone was found.", text: "Plug one in, then call again.", typeOnly: true };
    case "NotReadableError":
    case "AbortError":
      return {
        title: "The microphone can't be used.",
        text: "Another program may be using it. Close that program, then call again.",
        typeOnly: true,
      };
    case "ice":
      return {
        title: "The server answered, but no sound gets through.",
        text: "A firewall or a router stands between this browser and the server. Let UDP through, " +
          "or have the server's operator set up STUN and TURN.",
      };
  }
  switch (error.status) {
    case 0:
      return { title: "The server can't be reached.", text: error.message };
    case 401:
      return { title: "This server asks for an API key.", text: "One with the scope “operate”, or http.api_key of its settings." };
    case 503:
      return { title: "The agent can't take this call now.", text: error.message };
    case undefined:
      return { title: "The call failed.", text: error.message || String(error) };
    default:
      return { title: "The server refused the call.", text: error.message };
  }
}
