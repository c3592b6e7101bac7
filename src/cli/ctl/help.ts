/** The help of cxmd_ctl, made of the table of its options. Pure. */
import { entry, exitLines } from '../help.ts';
import type { Style } from '../style.ts';
import {
  ctlActionNames,
  ctlExamples,
  ctlExitMeanings,
  ctlModifiers,
  meaningOfAction,
  usageOfAction,
  type CtlModifier,
} from './table.ts';

const widest = 100;

export function renderCtlHelp(style: Style): string {
  const width = Math.min(widest, style.width);
  const actions = ctlActionNames.map((name) => [usageOfAction(name), meaningOfAction(name)] as const);
  const modifiers = (Object.keys(ctlModifiers) as CtlModifier[]).map(
    (name) => [wordsOfModifier(name), ctlModifiers[name].meaning] as const,
  );
  const examples = ctlExamples.map(({ line, meaning }) => [line, meaning] as const);
  type Rows = readonly (readonly [string, string])[];
  const columnOf = (all: Rows): number => Math.max(...all.map(([words]) => words.length)) + 4;
  const lines = (all: Rows, column = columnOf(all)): readonly string[] =>
    all.flatMap(([words, meaning]) => entry(words, meaning, column, width));
  const column = columnOf([...actions, ...modifiers]);
  return [
    `${style.paint('bold', 'cxmd_ctl')}: ask cxmd of this node, or give it an order`,
    '',
    'Usage: cxmd_ctl ACTION [OPTIONS]',
    '',
    style.paint('bold', 'Actions, exactly one'),
    ...lines(actions, column),
    '',
    style.paint('bold', 'Options'),
    ...lines(modifiers, column),
    '',
    style.paint('bold', 'Examples'),
    ...lines(examples),
    '',
    ...exitLines(ctlExitMeanings, style, width),
    '',
  ].join('\n');
}

export function wordsOfModifier(name: CtlModifier): string {
  const { short } = ctlModifiers[name];
  return short === undefined ? `--${name}` : `-${short}, --${name}`;
}
