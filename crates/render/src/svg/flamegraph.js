/* Zoom, search, tooltips and keyboard for a picture that is complete without them.
   Reads numbers from data- attributes and names from text nodes; writes text with textContent only. */
(function () {
  'use strict';
  /* shorten.js */
  var NS = 'http://www.w3.org/2000/svg';
  var script = document.currentScript;
  var root = (script && script.ownerSVGElement) || document.documentElement;
  var group = root.querySelector('.bars');
  var view = root.viewBox.baseVal;
  var CELL = 6.63, LABEL_PAD = 3;

  /* ---- the bars, as the document has them: pre-order, with depths and weights ---- */

  function read() {
    var bars = [], path = [];
    Array.prototype.forEach.call(group.children, function (el) {
      var title = el.querySelector('title');
      var rect = el.querySelector('rect');
      var lines = title.textContent.split('\n');
      var bar = {
        el: el, rect: rect, text: el.querySelector('text'), lines: lines, name: lines[0],
        paint: el.getAttribute('class').charAt(0),
        depth: +el.getAttribute('data-d'), weight: +el.getAttribute('data-w'),
        before: +el.getAttribute('data-b'), after: +el.getAttribute('data-a'),
        y: +rect.getAttribute('y'), index: bars.length,
        parent: null, children: [], start: 0, filled: 0, found: false, shown: true
      };
      path.length = bar.depth;
      bar.parent = path[bar.depth - 1] || null;
      if (bar.parent) {
        bar.start = bar.parent.start + bar.parent.filled;
        bar.parent.filled += bar.weight;
        bar.parent.children.push(bar);
      }
      path.push(bar);
      bars.push(bar);
      /* Our tooltip comes at once and stays beside the pointer; two would be in each other's way. */
      el.removeChild(title);
      el.setAttribute('role', 'button');
      el.setAttribute('aria-label', lines.join(', '));
      el.setAttribute('tabindex', '-1');
    });
    return bars;
  }

  var bars = read();
  var all = bars[0];
  var left = +all.rect.getAttribute('x');
  var plot = view.width - 2 * left;
  var diff = all.el.hasAttribute('data-b');
  var focus = all;
  var byElement = new Map(bars.map(function (bar) { return [bar.el, bar]; }));

  function make(name, attributes, parent) {
    var el = document.createElementNS(NS, name);
    Object.keys(attributes).forEach(function (key) { el.setAttribute(key, attributes[key]); });
    if (parent) parent.appendChild(el);
    return el;
  }

  function percent(part, whole) {
    if (!(part > 0) || !(whole > 0)) return '0 %';
    var p = part / whole * 100;
    return p >= 0.995 ? p.toFixed(1) + ' %' : p >= 0.005 ? p.toFixed(2) + ' %' : '<0.01 %';
  }

  /* ---- labels ---- */

  function label(bar, width) {
    var cells = Math.floor((width - 2 * LABEL_PAD + 1e-6) / CELL);
    var glyph = bar.paint === 'g' ? '▲' : bar.paint === 's' ? '▼' : '';
    if (!glyph) return cells > 0 ? fit(bar.name, cells) : '';
    var name = cells > 2 ? fit(bar.name, cells - 2) : '';
    return name ? glyph + ' ' + name : cells > 0 ? glyph : '';
  }

  /* ---- zoom ---- */

  function place(bar, x, width) {
    bar.shown = true;
    bar.el.removeAttribute('display');
    bar.rect.setAttribute('x', x.toFixed(2));
    bar.rect.setAttribute('width', Math.max(0, width - (width > 3 ? 0.8 : width > 1 ? 0.3 : 0)).toFixed(2));
    var words = label(bar, width);
    if (words && !bar.text) bar.text = make('text', { y: bar.y + 12 }, bar.el);
    if (bar.text) {
      bar.text.textContent = words;
      bar.text.setAttribute('x', (x + LABEL_PAD).toFixed(2));
    }
  }

  function zoom(to) {
    if (to.paint === 'm') to = to.parent;
    focus = to;
    var scale = plot / (to.weight || 1);
    bars.forEach(function (bar) {
      var above = isBelow(to, bar);
      bar.el.classList.toggle('above', above);
      if (above || bar === all) {
        place(bar, left, plot);
      } else if (bar === to || isBelow(bar, to)) {
        place(bar, left + (bar.start - to.start) * scale, bar.weight * scale);
      } else {
        bar.shown = false;
        bar.el.setAttribute('display', 'none');
      }
    });
    reset.setAttribute('display', to === all ? 'none' : 'inline');
    showMatched();
    hideTip();
    remember(true);
  }

  /* Pre-order: what is below a bar follows it, up to the next one that is not deeper. */
  function isBelow(bar, ancestor) {
    return bar.index > ancestor.index && bar.index <= ancestor.last;
  }

  (function markLast() {
    for (var i = bars.length - 1; i >= 0; i--) {
      var kids = bars[i].children;
      bars[i].last = kids.length ? kids[kids.length - 1].last : i;
    }
  })();

  /* ---- controls: made here, so that a still picture has no dead buttons ---- */

  var controls = make('g', { 'class': 'controls', 'font-size': 12 }, root);
  var right = view.width - left;

  function button(x, width, words, action) {
    var g = make('g', { 'class': 'button control', role: 'button', tabindex: 0, 'aria-label': words }, controls);
    make('rect', { x: x, y: 14, width: width, height: 26, rx: 5 }, g);
    make('text', { x: x + width / 2, y: 31, 'text-anchor': 'middle' }, g).textContent = words;
    g.addEventListener('click', action);
    g.addEventListener('keydown', function (event) {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        event.stopPropagation();
        action();
      }
    });
    return g;
  }

  var FIELD = 240;
  var reset = button(right - FIELD - 104, 96, 'Reset zoom', function () { zoom(all); });
  reset.setAttribute('display', 'none');

  var field = make('g', {
    'class': 'field control', role: 'searchbox', tabindex: 0, 'aria-label': 'Search by regular expression'
  }, controls);
  make('rect', { x: right - FIELD, y: 14, width: FIELD, height: 26, rx: 5 }, field);
  var typed = make('text', { x: right - FIELD + 9, y: 31, 'xml:space': 'preserve' }, field);
  var caret = make('path', { 'class': 'caret', d: 'M0 19h1.2v16h-1.2z', display: 'none' }, field);
  var matched = make('text', {
    'class': 'matched', x: right, y: 57, 'text-anchor': 'end', 'aria-live': 'polite', role: 'status'
  }, controls);
  var clear = make('g', { 'class': 'clear', role: 'button', 'aria-label': 'Clear search', display: 'none' }, field);
  make('rect', { x: right - 25, y: 17, width: 20, height: 20 }, clear);
  make('path', { d: 'M' + (right - 19) + ' 23l8 8m0 -8l-8 8', fill: 'none' }, clear);
  var active = false;

  /* ---- search ---- */

  var query = '', note = '';

  function compile(text) {
    /* Capitals count only where the pattern has some. */
    var flags = /[A-Z]/.test(text) ? 'u' : 'iu';
    try {
      note = '';
      return new RegExp(text, flags);
    } catch (e) {
      note = ' (as plain text)';
      return new RegExp(text.replace(/[\\^$.*+?()[\]{}|\/-]/g, function (c) {
        return c === '-' ? '\\x2d' : '\\' + c;
      }), flags);
    }
  }

  function search(text) {
    query = text;
    var pattern = text ? compile(text) : null;
    bars.forEach(function (bar) {
      bar.found = !!pattern && bar !== all && bar.paint !== 'm' && pattern.test(bar.name);
      bar.el.classList.toggle('found', bar.found);
    });
    group.classList.toggle('searching', !!pattern);
    clear.setAttribute('display', text ? 'inline' : 'none');
    showField();
    showMatched();
    remember(false);
  }

  /* Weight under matching bars, each part of the picture counted once: a match below a match adds
     nothing. Merged bars cannot be searched; what they hide is said. */
  function matchedUnder(top) {
    var sum = { weight: 0, before: 0, after: 0, frames: 0, unsearched: 0 };
    for (var i = top.index; i <= top.last; i++) {
      var bar = bars[i];
      if (bar.found) {
        sum.weight += bar.weight;
        sum.before += bar.before;
        sum.after += bar.after;
        for (var j = i; j <= bar.last; j++) if (bars[j].found) sum.frames++;
        i = bar.last;
      } else if (bar.paint === 'm') {
        sum.unsearched += bar.weight;
      }
    }
    return sum;
  }

  function showMatched() {
    if (!query) {
      matched.textContent = '';
      return;
    }
    var sum = matchedUnder(all), words;
    if (diff) {
      words = 'matched: ' + percent(sum.before, all.before) + ' before, ' + percent(sum.after, all.after) + ' after';
    } else {
      words = 'matched: ' + percent(sum.weight, all.weight);
      if (focus !== all) {
        var below = anyAbove(focus) ? focus.weight : matchedUnder(focus).weight;
        words += ', ' + percent(below, focus.weight) + ' of zoomed';
      }
    }
    if (sum.unsearched / all.weight >= 0.005) words += ' (' + percent(sum.unsearched, all.weight) + ' too small to search)';
    matched.textContent = words + note;
  }

  function anyAbove(bar) {
    for (var at = bar.parent; at; at = at.parent) if (at.found) return true;
    return false;
  }

  function showField() {
    var placeholder = !query && !active;
    var shown = placeholder ? 'Search (Ctrl-F or /)' : query;
    typed.setAttribute('class', placeholder ? 'muted' : 'ink');
    typed.textContent = shown;
    /* The end of a long pattern is where one types. */
    while (shown.length > 1 && typed.getComputedTextLength() > FIELD - 44) {
      shown = shown.slice(1);
      typed.textContent = '…' + shown;
    }
    caret.setAttribute('transform', 'translate(' + (right - FIELD + 10 + (query ? typed.getComputedTextLength() : 0)) + ')');
    caret.setAttribute('display', active ? 'inline' : 'none');
  }

  field.addEventListener('focus', function () { active = true; showField(); });
  field.addEventListener('blur', function () { active = false; showField(); });
  field.addEventListener('click', function () { field.focus(); });
  clear.addEventListener('click', function () { search(''); });
  field.addEventListener('keydown', function (event) {
    var control = event.ctrlKey || event.metaKey;
    if (event.key === 'Escape') {
      if (query) search(''); else all.el.focus();
    } else if (event.key === 'Backspace') {
      search(control || event.altKey ? query.replace(/\s*\S*$/, '') : Array.from(query).slice(0, -1).join(''));
    } else if (event.key === 'Delete') {
      search('');
    } else if (Array.from(event.key).length === 1 && !control && !event.altKey) {
      search(query + event.key);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener('paste', function (event) {
    if (!active || !event.clipboardData) return;
    search(query + event.clipboardData.getData('text').trim().replace(/[\x00-\x1f\x7f]+/g, ' ').slice(0, 300));
    event.preventDefault();
  });

  /* ---- the address keeps what is zoomed and searched, for links and for the way back ---- */

  var recalling = false;

  function remember(asStep) {
    if (recalling || root !== document.documentElement) return;
    var parts = [];
    if (focus !== all) parts.push('zoom=' + focus.index);
    if (query) parts.push('search=' + encodeURIComponent(query));
    var address = '#' + parts.join('&');
    if (address === (location.hash || '#')) return;
    /* A document without an origin of its own, in a sandbox, has no history to write. */
    try { history[asStep ? 'pushState' : 'replaceState'](null, '', address); } catch (e) { return; }
  }

  function recall() {
    var zoomed = /[#&]zoom=(\d{1,7})(?:&|$)/.exec(location.hash);
    var searched = /[#&]search=([^&]*)/.exec(location.hash);
    var words = '';
    try { words = searched ? decodeURIComponent(searched[1]).replace(/[\x00-\x1f\x7f]+/g, ' ').slice(0, 300) : ''; } catch (e) { words = ''; }
    recalling = true;
    if (words !== query) search(words);
    var to = bars[zoomed ? +zoomed[1] : 0] || all;
    if (to !== focus) zoom(to);
    recalling = false;
  }

  window.addEventListener('popstate', recall);
  window.addEventListener('hashchange', recall);

  /* ---- tooltip: beside the pointer, or under the focused bar ---- */

  var tip = make('g', { 'class': 'tip', display: 'none', 'aria-hidden': true }, root);
  var tipBack = make('rect', { rx: 4 }, tip);
  var tipText = make('text', { 'font-size': 12 }, tip);

  function folded(text, most) {
    var chars = Array.from(text), lines = [];
    for (var i = 0; i < chars.length; i += most) lines.push(chars.slice(i, i + most).join(''));
    return lines;
  }

  function tipLines(bar) {
    var lines = bar.lines.slice(1);
    if (bar.parent && bar.parent !== all && !diff) lines.push(percent(bar.weight, bar.parent.weight) + ' of its caller');
    if (!diff && focus !== all && focus !== bar && isBelow(bar, focus)) lines.push(percent(bar.weight, focus.weight) + ' of zoomed');
    return lines;
  }

  function visibleArea() {
    var matrix = root.getScreenCTM().inverse();
    return {
      left: Math.max(0, matrix.e), top: Math.max(0, matrix.f),
      right: Math.min(view.width, matrix.e + window.innerWidth * matrix.a),
      bottom: Math.min(view.height, matrix.f + window.innerHeight * matrix.d)
    };
  }

  function showTip(bar, x, y) {
    while (tipText.firstChild) tipText.removeChild(tipText.firstChild);
    var most = Math.max(40, Math.min(110, Math.floor((view.width - 60) / 7.5)));
    function add(line, bold, gap) {
      var span = make('tspan', { x: 0, dy: gap || 17 }, tipText);
      if (bold) span.setAttribute('font-weight', 600);
      span.textContent = line;
    }
    folded(bar.name, most).forEach(function (line, i) { add(line, true, i ? 17 : 1); });
    tipLines(bar).forEach(function (line, i) { folded(line, most).forEach(function (part, j) { add(part, false, i || j ? 17 : 20); }); });
    tip.removeAttribute('display');
    var box = tipText.getBBox(), area = visibleArea();
    var width = box.width + 20, height = box.height + 14;
    var atX = Math.max(area.left + 2, Math.min(x + 14, area.right - width - 4));
    var atY = y + 18 + height > area.bottom ? y - height - 8 : y + 18;
    atY = Math.max(area.top + 2, atY);
    tipBack.setAttribute('width', width);
    tipBack.setAttribute('height', height);
    tipBack.setAttribute('x', box.x - 10);
    tipBack.setAttribute('y', box.y - 7);
    tip.setAttribute('transform', 'translate(' + (atX - box.x + 10) + ',' + (atY - box.y + 7) + ')');
  }

  function hideTip() { tip.setAttribute('display', 'none'); }

  function barOf(event) {
    var el = event.target.closest && event.target.closest('.bars > g');
    return el ? byElement.get(el) : null;
  }

  group.addEventListener('mousemove', function (event) {
    var bar = barOf(event);
    if (!bar) return hideTip();
    var point = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
    showTip(bar, point.x, point.y);
  });
  group.addEventListener('mouseleave', hideTip);
  group.addEventListener('click', function (event) {
    var bar = barOf(event);
    if (bar) zoom(bar);
  });

  /* ---- keyboard ---- */

  var byMouse = false;
  group.addEventListener('mousedown', function () { byMouse = true; });
  document.addEventListener('mouseup', function () { byMouse = false; });
  group.addEventListener('focusin', function (event) {
    var bar = barOf(event);
    if (!bar) return;
    bars.forEach(function (other) { if (other.el.getAttribute('tabindex') === '0') other.el.setAttribute('tabindex', '-1'); });
    bar.el.setAttribute('tabindex', '0');
    if (!byMouse) showTip(bar, +bar.rect.getAttribute('x') - 14, bar.y);
  });
  group.addEventListener('focusout', hideTip);

  function shownChildren(bar) { return bar.children.filter(function (child) { return child.shown; }); }

  function neighbour(bar, key) {
    var icicle = bars.length < 2 || bars[1].y > all.y;
    if (key === (icicle ? 'ArrowUp' : 'ArrowDown')) return bar.parent;
    if (key === (icicle ? 'ArrowDown' : 'ArrowUp')) {
      /* The heaviest: repeating the key walks down the hottest path. */
      return shownChildren(bar).reduce(function (best, child) {
        return !best || child.weight > best.weight ? child : best;
      }, null);
    }
    if (!bar.parent) return null;
    var siblings = shownChildren(bar.parent);
    return siblings[siblings.indexOf(bar) + (key === 'ArrowRight' ? 1 : -1)];
  }

  group.addEventListener('keydown', function (event) {
    var bar = barOf(event);
    if (!bar) return;
    if (event.key === 'Enter' || event.key === ' ') {
      zoom(bar);
      if (!bar.shown) focus.el.focus();
    } else if (/^Arrow/.test(event.key)) {
      var next = neighbour(bar, event.key);
      if (next) next.el.focus();
    } else {
      return;
    }
    event.preventDefault();
  });

  document.addEventListener('keydown', function (event) {
    if (active || event.altKey) return;
    var find = (event.ctrlKey || event.metaKey) && event.key === 'f';
    if (find || (event.key === '/' && !event.ctrlKey && !event.metaKey)) {
      event.preventDefault();
      field.focus();
    } else if (event.key === 'Escape') {
      if (focus !== all) zoom(all); else if (query) search('');
      hideTip();
    }
  });

  group.classList.add('live');
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', 'Frames; arrow keys move, Enter zooms');
  all.el.setAttribute('tabindex', '0');
  showField();
  recall();
})();
