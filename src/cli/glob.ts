/** Shell wildcards over names, compared as a whole: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`. Time grows with the product of both lengths at most. */

interface Part {
  readonly many: boolean;
  matches(character: string): boolean;
}

export function matchesGlob(name: string, pattern: string): boolean {
  const parts = partsOf(pattern);
  // reached[i]: the first i parts match what was read of the name.
  let reached = parts.map(() => false).concat(false);
  reached[0] = true;
  skipEmpty(parts, reached);
  for (const character of name) {
    const next = parts.map(() => false).concat(false);
    parts.forEach((part, index) => {
      if (reached[index] !== true || !part.matches(character)) return;
      next[part.many ? index : index + 1] = true;
    });
    reached = next;
    skipEmpty(parts, reached);
  }
  return reached[parts.length] === true;
}

/** `*` also stands for nothing. */
function skipEmpty(parts: readonly Part[], reached: boolean[]): void {
  parts.forEach((part, index) => {
    if (part.many && reached[index] === true) reached[index + 1] = true;
  });
}

function partsOf(pattern: string): readonly Part[] {
  const parts: Part[] = [];
  for (const [token] of pattern.matchAll(/\*+|\?|\[!?\]?[^\]]*\]|[^]/g)) {
    if (token.startsWith('*')) parts.push({ many: true, matches: () => true });
    else if (token === '?') parts.push({ many: false, matches: () => true });
    else if (token.length > 2 && token.startsWith('[')) parts.push({ many: false, matches: setOf(token) });
    else parts.push({ many: false, matches: (character) => character === token });
  }
  return parts;
}

function setOf(token: string): (character: string) => boolean {
  const negated = token[1] === '!';
  const members = token.slice(negated ? 2 : 1, -1);
  const ranges = [...members.matchAll(/([^])-([^])|([^])/g)].map(
    ([, from, to, single]) => [from ?? single ?? '', to ?? single ?? ''] as const,
  );
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negated;
}
