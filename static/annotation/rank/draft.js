// Keeps what stands in the form: on the server moments after each change, in this tab until the server has it.

const AFTER_MS = 800;
const AGAIN_MS = 5_000;

export class Draft {
  /** `tell(words)` shows the state of saving. */
  constructor(form, tell) {
    this.form = form;
    this.tell = tell;
    this.url = form.dataset.draftUrl;
    this.key = `draft ${form.elements.assignment.value}`;
    this.timer = null;
    this.savedAt = null;
    this.isOver = false;
  }

  /** What this tab kept and the server never got; null where there is nothing such. */
  unsent() {
    return this.url ? read(this.key) : null;
  }

  changed(draft) {
    if (!this.url) return;
    write(this.key, draft);
    this.savedAt = null;
    this.tell(gettext("not saved yet"));
    this.soon(AFTER_MS);
  }

  soon(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), wait);
  }

  async save({ keepalive = false } = {}) {
    clearTimeout(this.timer);
    this.timer = null;
    const kept = sessionStorageText(this.key);
    try {
      const answer = await post(this.url, new FormData(this.form), { keepalive });
      if (this.isOver) return;
      if (!answer.ok) return this.tell(await told(answer));
      if (sessionStorageText(this.key) === kept) forget(this.key);
      this.savedAt = Date.now();
      this.tick();
    } catch {
      if (this.isOver) return;
      this.tell(gettext("offline: kept in this tab, will be sent"));
      this.soon(AGAIN_MS);
    }
  }

  tick() {
    if (this.savedAt === null) return;
    const seconds = Math.round((Date.now() - this.savedAt) / 1000);
    this.tell(savedWords(seconds));
  }

  /** The page is being left: what waits is sent on its way. */
  leave() {
    if (this.timer !== null) this.save({ keepalive: true });
  }

  /** The page turns to another task: this one says and saves no more. What the tab kept of it goes, unless `isKept`. */
  end({ isKept = false } = {}) {
    this.isOver = true;
    clearTimeout(this.timer);
    this.timer = null;
    if (!isKept) forget(this.key);
  }
}

function savedWords(seconds) {
  if (seconds < 2) return gettext("saved");
  if (seconds < 60) return interpolate(gettext("saved %(seconds)s s ago"), { seconds }, true);
  return interpolate(gettext("saved %(minutes)s min ago"), { minutes: Math.floor(seconds / 60) }, true);
}

export function post(url, body, options = {}) {
  return fetch(url, { method: "POST", body, headers: { Accept: "application/json" }, ...options });
}

/** What the server said against it, in a sentence. */
export async function told(answer) {
  const { error } = await answer.json().catch(() => ({ error: null }));
  return error?.message ?? interpolate(gettext("The server could not keep it (%(status)s)."), { status: answer.status }, true);
}

function sessionStorageText(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null; // storage is off in this browser: the server alone keeps drafts
  }
}

function read(key) {
  return JSON.parse(sessionStorageText(key) ?? "null");
}

function write(key, draft) {
  try {
    sessionStorage.setItem(key, JSON.stringify(draft));
  } catch {
    // as above, or it is full
  }
}

function forget(key) {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // as above
  }
}
