// What the page says of what was submitted, and the names under which it is sent.

/** The state of what was submitted. `isStored` says that the server confirmed the last one: nothing else is called sent. */
export function sentWords(outbox, { isStored }) {
  const number = outbox.waiting().length;
  if (number) return interpolate(waitingWords(outbox.why, number), { num: number }, true);
  if (outbox.refused().length) return gettext("one was not taken: see the top of the page");
  return isStored ? gettext("sent") : "";
}

function waitingWords(why, number) {
  if (!why) return ngettext("sending the last one", "sending %(num)s", number);
  if (why === "offline")
    return ngettext("offline: %(num)s ranking waits here to be sent", "offline: %(num)s rankings wait here to be sent", number);
  return ngettext(
    "%(num)s ranking waits here to be sent: tried again by itself",
    "%(num)s rankings wait here to be sent: tried again by itself",
    number,
  );
}

/** A random one, also where the page came without HTTPS and `crypto.randomUUID` is not there. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
