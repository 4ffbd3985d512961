// The colours of the overlay: dark purple over red to yellow, told apart by brightness alone too, so also by eyes that see no red or no
// green. Points of matplotlib's "inferno" (CC0).

const POINTS: readonly [number, number, number][] = [
  [0, 0, 4],
  [40, 11, 84],
  [101, 21, 110],
  [159, 42, 99],
  [212, 72, 66],
  [245, 125, 21],
  [250, 193, 39],
  [252, 255, 164],
];

/** Below this share of the greatest value nothing is drawn, so that the picture stays what it is where the network did not look. */
export const FLOOR = 0.15;

/** Red, green, blue and opacity (0..255) of a value (0..1). */
export function colour(value: number): [number, number, number, number] {
  const held = Math.min(1, Math.max(0, value));
  const at = held * (POINTS.length - 1);
  const low = POINTS[Math.floor(at)] ?? [0, 0, 0];
  const high = POINTS[Math.ceil(at)] ?? low;
  const part = at - Math.floor(at);
  const mix = (i: 0 | 1 | 2) => Math.round(low[i] + (high[i] - low[i]) * part);
  const opacity = held <= FLOOR ? 0 : (held - FLOOR) / (1 - FLOOR);
  return [mix(0), mix(1), mix(2), Math.round(255 * Math.sqrt(opacity))];
}

/** The ramp as a style's background, for the legend. */
export function legend(): string {
  const stops = [FLOOR, 0.3, 0.5, 0.7, 0.85, 1].map((value) => {
    const [red, green, blue, opacity] = colour(value);
    return `rgba(${red}, ${green}, ${blue}, ${(opacity / 255).toFixed(2)}) ${Math.round(value * 100)}%`;
  });
  return `linear-gradient(to right, ${stops.join(', ')})`;
}
