/** Reads what `html/payload.rs` wrote: a JSON head, and columns. */

import { type Capture, PARTS, type Part, type Times, placed } from './times';
import { type Shape, shapeOf } from './tree';

/** Colours of one kind of frame, or of one direction of change. */
export interface Paint {
  letter: string;
  words: string;
  light: string[];
  dark: string[];
}

interface Head {
  version: number;
  kind: 'profile' | 'diff';
  unit: string;
  weight_per_unit: number;
  sample_weight: number;
  judged_by: 'noise' | 'counting' | 'nothing' | null;
  captures: Capture[];
  paints: Paint[];
  build_ids: [string, string][];
  columns: { name: string; count: number; bytes: number }[];
}

/** What is known of frames, by row. */
export interface Frames {
  names: string[];
  modules: string[];
  files: string[];
  sources: string[];
  module: Uint32Array;
  file: Uint32Array;
  source: Uint32Array;
  /** Number of the function; equal for its inlined and its own frames. */
  function: Uint32Array;
  functionCount: number;
  /** Row of the report's paints. */
  paint: Uint8Array;
  shade: Uint8Array;
}

/** What the comparison says of functions. */
export interface Verdicts {
  function: Uint32Array;
  own: Uint8Array;
  total: Uint8Array;
}

/** Everything the page holds. */
export interface Data {
  head: Head;
  frames: Frames;
  shape: Shape;
  /** Weight of each node itself: one list, or before and after. */
  own: Float64Array[];
  /** Of a comparison: 0 noise, 1 grew, 2 shrank. */
  grade: Uint8Array | null;
  verdicts: Verdicts | null;
  /** Null where time was not recorded, or for a comparison. */
  times: Times | null;
}

const VERSION = 1;

export async function inflate(base64: string): Promise<Uint8Array> {
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Columns by name. */
class Columns {
  private readonly places = new Map<string, { from: number; count: number; bytes: number }>();

  constructor(private readonly data: Uint8Array, list: Head['columns']) {
    let from = 0;
    for (const { name, count, bytes } of list) {
      this.places.set(name, { from, count, bytes });
      from += bytes;
    }
  }

  private place(name: string): { from: number; count: number; bytes: number } {
    const place = this.places.get(name);
    if (!place) throw new Error(`the report lacks its column ${name}`);
    return place;
  }

  varints(name: string): Uint32Array {
    const { from, count } = this.place(name);
    const values = new Uint32Array(count);
    const data = this.data;
    let at = from;
    for (let i = 0; i < count; i++) {
      let byte = data[at++]!;
      let value = byte & 0x7f;
      for (let shift = 7; byte >= 0x80; shift += 7) {
        byte = data[at++]!;
        value |= (byte & 0x7f) << shift;
      }
      values[i] = value;
    }
    return values;
  }

  bytes(name: string): Uint8Array {
    const { from, bytes } = this.place(name);
    return this.data.slice(from, from + bytes);
  }

  lines(name: string): string[] {
    const { count } = this.place(name);
    return count === 0 ? [] : new TextDecoder().decode(this.bytes(name)).split('\n');
  }

  values(name: string): Float64Array {
    const numbers = new Float64Array(this.bytes('numbers').buffer);
    const rows = this.varints(name);
    const values = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i++) values[i] = numbers[rows[i]!]!;
    return values;
  }
}

export function read(bytes: Uint8Array): Data {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const head: Head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  if (head.version !== VERSION) throw new Error(`the report is of version ${head.version}`);
  const columns = new Columns(bytes.subarray(4 + size), head.columns);
  const diff = head.kind === 'diff';
  return {
    head,
    frames: frames(columns, head.paints),
    shape: shapeOf(columns.varints('up'), columns.varints('frame')),
    own: (diff ? ['before', 'after'] : ['self']).map((name) => columns.values(name)),
    grade: diff ? columns.bytes('grade') : null,
    verdicts: diff
      ? {
        function: columns.varints('verdict_function'),
        own: columns.bytes('verdict_own'),
        total: columns.bytes('verdict_total'),
      }
      : null,
    times: head.captures.length > 0 ? times(columns, head.captures) : null,
  };
}

function times(columns: Columns, captures: Capture[]): Times {
  const groups = PARTS.map((part) => [part, columns.varints(`group_${part}`)] as const);
  return {
    captures,
    cellMs: columns.values('cell_ms'),
    groups: Object.fromEntries(groups) as Record<Part, Uint32Array>,
    texts: columns.lines('group_texts'),
    ...placed(columns.varints('row_node'), columns.varints('row_cell')),
    group: columns.varints('row_group'),
    weight: columns.values('row_weight'),
  };
}

function frames(columns: Columns, paints: Paint[]): Frames {
  const rows = new Map(paints.map((paint, row) => [paint.letter.charCodeAt(0), row]));
  const functions = columns.varints('function');
  return {
    names: columns.lines('names'),
    modules: columns.lines('modules'),
    files: columns.lines('files'),
    sources: columns.lines('sources'),
    module: columns.varints('module'),
    file: columns.varints('file'),
    source: columns.varints('source'),
    function: functions,
    functionCount: functions.reduce((most, number) => Math.max(most, number + 1), 0),
    paint: columns.bytes('paint').map((letter) => rows.get(letter) ?? 0),
    shade: columns.bytes('shade'),
  };
}
