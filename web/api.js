// The server's HTTP routes. Every failure is an ApiError that carries what the server said.

export class ApiError extends Error {
  /** `status` 0: the server was not reached at all. */
  constructor(status, error, retryAfter, body = null) {
    super(error.message ?? "");
    this.status = status;
    this.code = error.code ?? (status ? "internal" : "unreachable");
    this.field = error.field;
    this.retryAfter = error.retry_after_s ?? retryAfter;
    this.details = error;
    this.body = body;
  }
}

async function request(method, path, { body, json, signal, keepalive } = {}) {
  // The page's language, not the browser's: the server greets in it.
  const headers = { "accept-language": document.documentElement.lang || "en" };
  if (json !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: json === undefined ? body : JSON.stringify(json),
      signal,
      keepalive,
      credentials: "same-origin",
    });
  } catch (error) {
    throw new ApiError(0, { message: String(error.message) });
  }
  const text = await response.text().catch(() => "");
  const parsed = parse(text);
  if (response.ok) return parsed ?? {};
  throw new ApiError(response.status, parsed?.error ?? { message: response.statusText }, retryAfter(response.headers), parsed);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function retryAfter(headers) {
  const seconds = Number(headers.get("retry-after"));
  return headers.has("retry-after") && Number.isFinite(seconds) ? seconds : undefined;
}

export const api = {
  config: () => request("GET", "/config"),
  ready: () => request("GET", "/ready"),
  offer: (body, signal) => request("POST", "/webrtc/offer", { json: body, signal }),
  candidates: (id, candidates) => request("PATCH", "/webrtc/offer", { json: { session_id: id, candidates } }),
  tune: (id, changes) => request("PATCH", `/sessions/${encodeURIComponent(id)}`, { json: changes }),
  interrupt: (id) => request("POST", `/sessions/${encodeURIComponent(id)}/interrupt`, { json: {} }),
  /** `keepalive`: the request outlives the page, so that closing the tab frees the place at once. */
  end: (id) => request("DELETE", `/sessions/${encodeURIComponent(id)}`, { keepalive: true }),
  avatars: () => request("GET", "/avatars"),
  removeAvatar: (id) => request("DELETE", `/avatars/${encodeURIComponent(id)}`),
  thumbnail: (id) => `/avatars/${encodeURIComponent(id)}.jpg`,
  /** Six expressions side by side, each square: at rest, "ah", "ee", "oo", a smile, eyes shut. */
  preview: (id) => `/avatars/${encodeURIComponent(id)}/preview.jpg`,

  /** Moves a token into the cookie that the server sets when the page is opened with it. */
  async token(token) {
    await request("GET", `/?token=${encodeURIComponent(token)}`);
  },

  /** Registers a portrait. XMLHttpRequest, because fetch reports no upload progress. */
  upload(file, onProgress) {
    return new Promise((resolve, reject) => {
      const call = new XMLHttpRequest();
      call.open("POST", "/avatars");
      call.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
      call.onerror = () => reject(new ApiError(0, {}));
      call.onload = () => {
        const body = parse(call.responseText);
        if (call.status < 300) resolve(body);
        else reject(new ApiError(call.status, body?.error ?? { message: call.statusText }));
      };
      const form = new FormData();
      form.append("image", file);
      call.send(form);
    });
  },
};
