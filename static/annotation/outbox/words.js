// How many submissions wait, in a sentence.

export function howMany(number) {
  const words = ngettext("%(num)s ranking waits here to be sent.", "%(num)s rankings wait here to be sent.", number);
  return interpolate(words, { num: number }, true);
}
