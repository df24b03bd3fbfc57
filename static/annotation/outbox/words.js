// How many submissions wait, in words.

export function howMany(number) {
  return number === 1 ? "1 ranking waits here to be sent" : `${number} rankings wait here to be sent`;
}
