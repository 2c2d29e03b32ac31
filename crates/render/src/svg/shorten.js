/* Makes a function's name fit without losing what tells it apart: the same rules as shorten.rs.
   A module for the report's viewer; in pictures it is a part of their script. */

var LEAST_CELLS = 3;
var WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\ud83c-\ud83e\ud840-\ud87f][\udc00-\udfff]/;
var MARK = /\p{M}/u;

/** @param {string} text
 @returns {number} columns of a monospaced font */
export function cellsOf(text) {
  var cells = 0;
  for (var c of text) cells += WIDE.test(c) ? 2 : MARK.test(c) ? 0 : 1;
  return cells;
}

/** @param {string} name */
function withoutLocation(name) {
  var end = name.search(/ \/| file:| node:|:\//);
  return end > 0 ? name.slice(0, end) : name;
}

/** @param {string | undefined} c */
function endsAnIdentifier(c) { return c !== undefined && /[\p{L}\p{N}_>\]}]/u.test(c); }

/** @param {string} name */
function withoutArguments(name) {
  var out = '', depth = 0, chars = Array.from(name);
  for (var i = 0; i < chars.length; i++) {
    var c = chars[i];
    if (depth > 0) {
      depth += c === '(' ? 1 : c === ')' ? -1 : 0;
    } else if (c === '(' && chars[i + 1] === ')' && out.endsWith('operator')) {
      out += '()';
      i++;
    } else if (c === '(' && (out.endsWith('operator()') || endsAnIdentifier(chars[i - 1]))) {
      depth = 1;
    } else {
      out += c;
    }
  }
  return depth > 0 ? name : out.replace(/( const| volatile| &&?)+$/, '');
}

/** @param {string} name */
function withoutTemplateArguments(name) {
  var out = '', depth = 0, before = '', chars = Array.from(name);
  chars.forEach(function (c) {
    var arrow = c === '>' && (before === '-' || before === '=');
    var operator = depth === 0 && (c === '<' || c === '>') && /operator[<>=-]*$/.test(out);
    if (depth > 0) {
      depth += c === '<' ? 1 : c === '>' && !arrow ? -1 : 0;
    } else if (c === '<' && !operator && (endsAnIdentifier(Array.from(out.slice(-2)).pop()) || out.endsWith(':'))) {
      depth = 1;
      out = out.replace(/(::)+$/, '');
    } else {
      out += c;
    }
    before = c;
  });
  return depth > 0 || out === '' ? name : out;
}

/** @param {string} name
 @param {number} cells
 @returns {string} nothing where nothing readable fits */
export function fit(name, cells) {
  if (cellsOf(name) <= cells) return name;
  if (cells < LEAST_CELLS) return '';
  name = withoutArguments(withoutLocation(name));
  if (cellsOf(name) <= cells) return name;
  name = withoutTemplateArguments(name);
  if (cellsOf(name) <= cells) return name;
  var last = name, braces = 0;
  for (var i = 0; i + 1 < name.length && name.charAt(0) !== '['; i++) {
    var c = name.charAt(i);
    braces += c === '{' ? 1 : c === '}' ? -1 : 0;
    if (braces <= 0 && (c === '.' || c === '/' || (c === ':' && name.charAt(i - 1) === ':'))) {
      last = name.slice(i + 1);
      if (cellsOf(last) < cells) return '…' + last;
    }
  }
  var cut = '', room = cells - 1;
  for (var d of last) {
    room -= cellsOf(d);
    if (room < 0) break;
    cut += d;
  }
  return cut + '…';
}
