/**
 * The JSON that docs/cxm.md promises: its two tables as shapes, and whether a value has such a shape. A field that is not
 * documented is a fault, too, so that the document can't fall behind.
 */
import { readFileSync } from 'node:fs';

type Shape =
  | { readonly kind: 'any' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly item: Shape; readonly text: string }
  | { readonly kind: 'sum'; readonly parts: readonly Shape[] }
  | { readonly kind: 'record'; readonly fields: ReadonlyMap<string, Field>; readonly open: boolean };

interface Field {
  readonly optional: boolean;
  readonly shape: Shape;
}

/** `{a, b?, c: [NAME + {d}], *}` */
function parseShape(text: string): Shape {
  const tokens = text.match(/[A-Za-z]+|[{}[\],:?+*]/g) ?? [];
  let at = 0;
  const take = (expected?: string): string => {
    const token = tokens[at] ?? 'the end';
    if (expected !== undefined && token !== expected) throw new Error(`${expected} expected, not ${token}: ${text}`);
    at += 1;
    return token;
  };
  const field = (fields: Map<string, Field>): void => {
    const name = take();
    const optional = tokens[at] === '?' && take() === '?';
    const shape: Shape = tokens[at] === ':' && take() === ':' ? sum() : { kind: 'any' };
    fields.set(name, { optional, shape });
  };
  const one = (): Shape => {
    const token = take();
    if (token === '[') {
      const item = sum();
      take(']');
      return { kind: 'list', item, text };
    }
    if (token !== '{') return { kind: 'name', name: token };
    const fields = new Map<string, Field>();
    let open = false;
    while (tokens[at] !== '}') {
      if (tokens[at] === '*') open = take() === '*';
      else field(fields);
      if (tokens[at] !== '}') take(',');
    }
    take('}');
    return { kind: 'record', fields, open };
  };
  const sum = (): Shape => {
    const parts = [one()];
    while (tokens[at] === '+') {
      take();
      parts.push(one());
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'sum', parts };
  };
  const shape = sum();
  if (at !== tokens.length) throw new Error(`not all of ${text} is a shape`);
  return shape;
}

export class DocumentedJson {
  private readonly commands = new Map<string, Shape>();
  private readonly named = new Map<string, Shape>();
  private readonly held = new Set<string>();
  private readonly seenLists = new Set<Shape>();

  constructor(path = 'docs/cxm.md') {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const [, first = '', shape = ''] = /^\| (.+?) \| `([{].*?)` \|/.exec(line) ?? [];
      if (shape === '') continue;
      const label = /`(.+?)`/.exec(first)?.[1] ?? first;
      if (/^[A-Z]+$/.test(label)) this.named.set(label, parseShape(shape));
      else this.commands.set(label, parseShape(shape));
    }
  }

  get labels(): readonly string[] {
    return [...this.commands.keys()];
  }

  /** What of the value is not as documented; empty if all is. */
  faults(label: string, value: unknown): readonly string[] {
    const shape = this.commands.get(label);
    if (shape === undefined) return [`docs/cxm.md has no JSON of ${label}`];
    this.held.add(label);
    return this.compare(shape, value, label);
  }

  /** Commands of which no value was compared, and lists of which no item was. */
  unseen(): readonly string[] {
    const lists = (shape: Shape, place: string): readonly string[] => {
      switch (shape.kind) {
        case 'any':
        case 'name':
          return [];
        case 'sum':
          return shape.parts.flatMap((part) => lists(part, place));
        case 'list':
          return this.seenLists.has(shape) ? lists(shape.item, `${place}[]`) : [place];
        case 'record':
          return [...shape.fields].flatMap(([name, field]) => lists(field.shape, `${place}.${name}`));
      }
    };
    return [
      ...this.labels.filter((label) => !this.held.has(label)),
      ...[...this.commands, ...this.named].flatMap(([label, shape]) => lists(shape, label)),
    ];
  }

  private compare(shape: Shape, value: unknown, place: string): readonly string[] {
    if (shape.kind === 'any') return value === undefined ? [`${place} is missing`] : [];
    if (shape.kind === 'list') {
      if (!Array.isArray(value)) return [`${place} is no list`];
      if (value.length > 0) this.seenLists.add(shape);
      return value.flatMap((item: unknown, index) => this.compare(shape.item, item, `${place}[${index}]`));
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${place} is no object`];
    const { fields, open } = this.recordOf(shape);
    const present = Object.entries(value);
    const names = new Set(present.map(([name]) => name));
    return [
      ...[...fields].flatMap(([name, { optional }]) =>
        optional || names.has(name) ? [] : [`${place}.${name} is missing`],
      ),
      ...present.flatMap(([name, part]) => {
        const field = fields.get(name);
        if (field !== undefined) return this.compare(field.shape, part, `${place}.${name}`);
        return open ? [] : [`${place}.${name} is not documented`];
      }),
    ];
  }

  private recordOf(shape: Shape): { readonly fields: ReadonlyMap<string, Field>; readonly open: boolean } {
    switch (shape.kind) {
      case 'record':
        return shape;
      case 'name': {
        const named = this.named.get(shape.name);
        if (named === undefined) throw new Error(`docs/cxm.md does not say what ${shape.name} is`);
        return this.recordOf(named);
      }
      case 'sum': {
        const parts = shape.parts.map((part) => this.recordOf(part));
        return { fields: new Map(parts.flatMap(({ fields }) => [...fields])), open: parts.some(({ open }) => open) };
      }
      default:
        throw new Error(`a ${shape.kind} is no record`);
    }
  }
}
