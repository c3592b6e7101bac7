import { expect, test } from 'vitest';
import { Sightings } from './sightings.ts';

/** Looks as `boot number`. */
function wrongIn(...looks: readonly string[]): readonly string[] {
  const sightings = new Sightings('web');
  for (const look of looks) {
    const [boot = '', number] = look.split(' ');
    sightings.add({ boot, number: Number(number) });
  }
  return sightings.wrong;
}

test('a guest that counts on, also after it was started anew, is well', () => {
  expect(wrongIn('a 5', 'a 5', 'a 9', 'b 9', 'b 12', 'c 40')).toEqual([]);
});

test('the number that was being written when the power went may be written again, and no other', () => {
  expect(wrongIn('a 9', 'b 8')).toEqual([]);
  expect(wrongIn('a 9', 'b 7')).toEqual(['web: was at 9 and at 7 after it was started anew']);
});

test('a number that goes back within a boot is a lost disk, or another copy', () => {
  expect(wrongIn('a 9', 'a 8', 'a 9')).toEqual(['web: counted back from 9 to 8 within a boot']);
});

test('a boot that is seen again after another one is a second copy, told each time', () => {
  expect(wrongIn('a 5', 'b 6', 'a 7', 'b 8', 'a 9')).toEqual([
    'web: boot a is back after boot b was seen: there are two of it',
    'web: boot a is back after boot b was seen: there are two of it',
  ]);
});
