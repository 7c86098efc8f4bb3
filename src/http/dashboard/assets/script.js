// What moves on the pages. Everything but the live events works without it.
'use strict';

const language = document.documentElement.lang;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Times: how long ago, kept up to date, and the exact moment in the reader's zone on hover.
const ages = new Intl.RelativeTimeFormat(language, { style: 'narrow', numeric: 'always' });
const exact = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'long' });
const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

function tellTime(element) {
  const at = new Date(element.dateTime);
  const seconds = Math.trunc((at - Date.now()) / 1000);
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS[3];
  const count = Math.trunc(seconds / length);
  const said = ages.format(Object.is(count, 0) ? -0 : count, unit);
  if (element.textContent !== said) element.textContent = said;
  if (!element.dataset.told) {
    element.title = `${exact.format(at)} (${element.dateTime})`;
    element.dataset.told = 'yes';
  }
}

function tellTimes() {
  all('time[datetime]').forEach(tellTime);
}

// Copying: whatever has `data-copy` gets a button; a value given there is copied instead of the text.
function addCopy(element) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy above';
  button.textContent = document.body.dataset.copy;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(element.dataset.copy || element.textContent);
    button.textContent = document.body.dataset.copied;
    setTimeout(() => { button.textContent = document.body.dataset.copy; }, 1500);
  });
  if (element.parentElement.tagName === 'PRE') element.parentElement.append(button);
  else element.after(button);
}

// Media: shown in a dialog, and loaded only then.
function play(link) {
  const dialog = document.createElement('dialog');
  const kind = link.dataset.play;
  const media = document.createElement(kind === 'image' ? 'img' : kind);
  if (kind === 'image') media.alt = '';
  else { media.controls = true; media.autoplay = true; }
  media.referrerPolicy = 'no-referrer';
  media.src = link.href;
  dialog.setAttribute('aria-label', link.getAttribute('aria-label'));
  dialog.append(media);
  dialog.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// A form that says `data-confirm` asks first, with what it will do; a link or a button may open a dialog by its id.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  ask(form.dataset.confirm, event.submitter, () => {
    form.dataset.confirmed = 'yes';
    form.requestSubmit(event.submitter);
  });
});

function ask(said, submitter, act) {
  const dialog = document.createElement('dialog');
  dialog.className = 'ask';
  dialog.setAttribute('role', 'alertdialog');
  dialog.setAttribute('aria-label', said);
  const text = document.createElement('p');
  text.textContent = said;
  const buttons = [[document.body.dataset.cancel, 'cancel', ''], [submitter?.textContent ?? 'OK', 'act', submitter?.className ?? '']];
  const row = document.createElement('form');
  row.method = 'dialog';
  for (const [label, value, look] of buttons) {
    const button = document.createElement('button');
    Object.assign(button, { textContent: label, value, className: look });
    row.append(button);
  }
  dialog.append(text, row);
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (dialog.returnValue === 'act') act();
  });
  document.body.append(dialog);
  dialog.showModal();
}
document.addEventListener('click', (event) => {
  const link = event.target.closest('[data-play]');
  if (link) { event.preventDefault(); play(link); return; }
  const opener = event.target.closest('[data-open]');
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
});

// Filters: what is chosen is looked up at once.
document.addEventListener('change', (event) => {
  if (event.target.matches('.filters select')) event.target.form.requestSubmit();
});
// What was left empty is no part of the address.
document.addEventListener('formdata', (event) => {
  if (!event.target.matches('.filters')) return;
  for (const [name, value] of [...event.formData]) if (value === '') event.formData.delete(name);
});

// Live events.
const LINES_MAX = 200;
const PAGE = 50;
// Who was away for longer begins with a fresh page.
const AWAY_MS = 5 * 60 * 1000;

function follow(body) {
  const state = one('#live');
  const button = one('#pause');
  const said = state.dataset;
  let waiting = [];
  let isPaused = new URLSearchParams(location.search).has('paused');
  let isOpen = false;
  let isEnded = false;
  let stream = null;
  let hiddenAt = 0;
  const address = new URL(body.dataset.stream, location.href);

  function show() {
    const many = waiting.length > LINES_MAX ? `${LINES_MAX}+` : waiting.length;
    state.classList.toggle('is-on', isOpen && !isPaused);
    if (isEnded) state.textContent = said.ended;
    else if (!isOpen) state.textContent = said.lost;
    else if (!isPaused) state.textContent = said.live;
    else state.textContent = waiting.length ? said.waiting.replace('{}', many) : said.paused;
    button.textContent = isPaused ? button.dataset.goOn : button.dataset.pause;
  }

  function put(html) {
    const template = document.createElement('template');
    template.innerHTML = html;
    const line = template.content.firstElementChild;
    if (!line || document.getElementById(line.id)) return;
    // Ids sort by time. What is older than a whole page belongs to the next one.
    const older = [...body.rows].find((row) => row.id < line.id);
    if (!older && body.rows.length >= PAGE) return;
    line.classList.add('is-new');
    all('time', line).forEach(tellTime);
    body.insertBefore(line, older ?? null);
    while (body.rows.length > LINES_MAX) body.lastElementChild.remove();
    one('#rows').classList.remove('is-empty');
    one('#empty')?.remove();
  }

  function pause() {
    isPaused = !isPaused;
    const address = new URL(location.href);
    if (isPaused) address.searchParams.set('paused', '1');
    else address.searchParams.delete('paused');
    history.replaceState(null, '', address);
    if (!isPaused && waiting.length > LINES_MAX) { location.reload(); return; }
    if (!isPaused) waiting.forEach(put);
    waiting = isPaused ? waiting : [];
    show();
  }

  function connect() {
    stream = new EventSource(address);
    stream.addEventListener('line', (event) => {
      address.searchParams.set('last_event_id', event.lastEventId);
      if (!isPaused) put(event.data);
      else if (waiting.length <= LINES_MAX) waiting.push(event.data);
      if (isPaused) show();
    });
    stream.addEventListener('open', () => { isOpen = true; show(); });
    stream.addEventListener('error', () => {
      isOpen = false;
      isEnded = stream.readyState === EventSource.CLOSED;
      show();
    });
    stream.addEventListener('ended', () => { disconnect(); isEnded = true; show(); });
  }

  function disconnect() {
    stream?.close();
    stream = null;
    isOpen = false;
  }

  // A browser opens few connections to one host: a page that nobody sees must not hold one.
  function seen() {
    const isHidden = document.visibilityState === 'hidden';
    if (isHidden && stream) {
      hiddenAt = Date.now();
      disconnect();
    } else if (!isHidden && !stream && !isEnded) {
      if (hiddenAt && !isPaused && Date.now() - hiddenAt > AWAY_MS) location.reload();
      else connect();
    }
    show();
  }

  document.addEventListener('visibilitychange', seen);
  addEventListener('pagehide', disconnect);
  addEventListener('pageshow', seen);
  button.hidden = false;
  button.addEventListener('click', pause);
  seen();
}

// Keyboard: rows by j and k, places by g and a letter, the list of all by ?.
let here = -1;
let isGoing = false;

function move(step) {
  const rows = all('.rows tbody tr');
  if (!rows.length) return;
  rows[here]?.classList.remove('is-here');
  here = Math.min(Math.max(here + step, 0), rows.length - 1);
  rows[here].classList.add('is-here');
  rows[here].scrollIntoView({ block: 'nearest' });
  one('a.row', rows[here])?.focus({ preventScroll: true });
}

const SHORTCUTS = {
  '?': () => one('#shortcuts')?.showModal(),
  '/': () => one('[data-search]')?.focus(),
  j: () => move(1),
  k: () => move(-1),
  p: () => one('#pause')?.click(),
  g: () => { isGoing = true; setTimeout(() => { isGoing = false; }, 1500); },
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || one('dialog[open]')) return;
  if (event.target.closest('input, textarea, select')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const place = isGoing && one(`[data-go="${CSS.escape(event.key)}"]`);
  isGoing = false;
  if (place) { location.href = place.href; return; }
  const shortcut = Object.hasOwn(SHORTCUTS, event.key) && SHORTCUTS[event.key];
  if (shortcut) { event.preventDefault(); shortcut(); }
});

// What is still going on is shown anew, without a jump.
async function refresh() {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = one('main', page);
  if (!fresh || document.hidden || one('dialog[open]')) return;
  one('main').replaceChildren(...fresh.childNodes);
  tellTimes();
}
setInterval(() => { if (one('[data-moving]') && !document.hidden) refresh(); }, 2000);

// Where one is, on a narrow page, may lie outside.
all('nav [aria-current]').forEach((place) => place.scrollIntoView({ inline: 'center', block: 'nearest' }));

tellTimes();
setInterval(tellTimes, 5000);
all('[data-copy]').filter((element) => element !== document.body).forEach(addCopy);
all('[data-stream]').forEach(follow);
