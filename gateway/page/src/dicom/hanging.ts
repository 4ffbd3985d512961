// How a view hangs: right breast on the left, left breast on the right, chest walls together in the middle, the head up.

import type { View } from '../api/types';
import type { Facts } from './tags';

export interface Flip {
  horizontal: boolean;
  vertical: boolean;
}

/** Which edge of the screen's picture the chest wall belongs to. */
export function chestWall(view: View): 'left' | 'right' {
  return view.startsWith('R') ? 'right' : 'left';
}

/**
 * Where the pixels have the chest wall: by PatientOrientation, which names where a row leads (towards the front: the wall is at its beginning);
 * otherwise the half with more tissue.
 */
export function chestWallInPixels(facts: Pick<Facts, 'rowToward'> | null, tissue: { left: number; right: number }): 'left' | 'right' {
  if (facts?.rowToward === 'A') return 'left';
  if (facts?.rowToward === 'P') return 'right';
  return tissue.left >= tissue.right ? 'left' : 'right';
}

/** What has to be mirrored so that the view hangs. */
export function flipFor(
  view: View,
  facts: Pick<Facts, 'rowToward' | 'columnToward'> | null,
  tissue: { left: number; right: number },
): Flip {
  return {
    horizontal: chestWallInPixels(facts, tissue) !== chestWall(view),
    vertical: facts !== null && upsideDown(view, facts.columnToward),
  };
}

/** An MLO's columns lead to the feet, a CC's from the outside of the breast to the middle of the body. */
function upsideDown(view: View, columnToward: string | null): boolean {
  if (columnToward === null) return false;
  if (view.endsWith('MLO')) return columnToward === 'H';
  return columnToward === (view.startsWith('R') ? 'R' : 'L');
}
