// A small stand-in for the gateway, for unit tests and for working on the page. It keeps the API's shapes and the order of events; it
// verifies nothing and computes nothing. Stories in a browser use the real gateway.

import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { CHECKS } from '../src/api/types.ts';
import type { Enclaves, Exam, ExamState, ExamView, View } from '../src/api/types.ts';
import { greyPng } from './png.ts';

export interface Scenario {
  signIn: 'none' | 'password' | 'oidc';
  /** Users and their passwords. */
  users: Record<string, string>;
  enclave: 'verified' | 'refused' | 'unreachable';
  /** The check that fails where the enclave is refused. */
  failing: string;
  outcome: 'answered' | 'delivered' | 'abstained' | 'failed';
  scores: { right: number; left: number };
  point: boolean;
  /** The next uploads are refused with this problem. */
  refuse: { type: string; status: number; retryAfter?: number } | null;
  /** Milliseconds that an exam stays in each state. */
  pace: number;
  keepImages: boolean;
}

export const CALM: Scenario = {
  signIn: 'none',
  users: { reader: 'correct horse' },
  enclave: 'verified',
  failing: 'measurements',
  outcome: 'answered',
  scores: { right: 0.731, left: 0.118 },
  point: true,
  refuse: null,
  pace: 150,
  keepImages: true,
};

interface Stored {
  exam: Exam;
  files: Buffer[];
}

export const CONTENT_POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; worker-src 'self' blob:; img-src 'self' blob: data:; " +
  "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

export class Mock {
  readonly server: Server;
  readonly exams = new Map<string, Stored>();
  readonly listeners = new Set<ServerResponse>();
  scenario: Scenario;
  user: string | null = null;
  readonly csrf = randomUUID();
  /** What the session says instead. */
  told: string | null = null;

  constructor(
    scenario: Partial<Scenario> = {},
    private readonly dist = join(import.meta.dirname, '../dist'),
  ) {
    this.scenario = { ...CALM, ...scenario };
    this.server = createServer((request, answer) => {
      this.route(request, answer).catch(() => problem(answer, 500, 'internal', 'The mock failed.'));
    });
  }

  listen(port = 0): Promise<string> {
    return new Promise((resolve) => {
      this.server.listen(port, '127.0.0.1', () => {
        const address = this.server.address();
        resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : port}`);
      });
    });
  }

  close(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
    });
  }

  enclaves(): Enclaves {
    const { enclave, failing } = this.scenario;
    const failed = enclave === 'unreachable' ? 'connection' : failing;
    const stop = enclave === 'verified' ? CHECKS.length : CHECKS.findIndex((id) => id === failed);
    return {
      can_send: enclave === 'verified',
      enclaves: [
        {
          name: 'enclave-1',
          address: 'tcp://127.0.0.1:5000',
          state: enclave,
          checked_at: new Date().toISOString(),
          sentence: enclave === 'verified' ? 'The enclave is verified.' : 'The enclave runs another image than the policy accepts.',
          simulated: true,
          label: enclave === 'verified' ? 'demo image' : null,
          module_id: 'i-0123456789abcdef0-enc0123456789abcdef0',
          document_time: new Date().toISOString(),
          policy_until: null,
          checks: CHECKS.map((id, at) => ({
            id,
            outcome: at < stop ? 'passed' : at === stop ? 'failed' : 'not-reached',
            expected: id === 'measurements' ? 'a'.repeat(96) : null,
            found: at > stop ? null : id === 'measurements' ? (at === stop ? 'b' : 'a').repeat(96) : id === 'time' ? '3 s old' : null,
          })),
          model: enclave === 'verified' ? { name: 'demo-synthetic', version: 1, digest: 'c'.repeat(96) } : null,
        },
      ],
    };
  }

  change(id: string, change: Partial<Exam>): void {
    const stored = this.exams.get(id);
    if (!stored) return;
    const at = new Date().toISOString();
    const { state } = change;
    stored.exam = { ...stored.exam, ...change, updated_at: at };
    if (state) stored.exam.steps = [...stored.exam.steps, { state, at }];
    this.tell('exam', stored.exam);
  }

  tell(event: string, data: unknown): void {
    for (const listener of this.listeners) listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  private async route(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = url.pathname.replace(/^\/api\/v1/, '');
    const method = request.method ?? 'GET';
    if (!url.pathname.startsWith('/api/v1')) {
      this.asset(url.pathname, answer);
      return;
    }
    if (method !== 'GET' && !(method === 'POST' && path === '/session') && request.headers['x-cloister-csrf'] !== this.csrf) {
      problem(answer, 403, 'not-meant', 'The request does not come from the page.');
      return;
    }
    if (path === '/session') return this.session(method, request, answer);
    if (this.scenario.signIn !== 'none' && this.user === null) {
      problem(answer, 401, 'signed-out', 'Sign in first.');
      return;
    }
    if (path === '/enclaves' || path === '/enclaves/check') json(answer, 200, this.enclaves());
    else if (path === '/events') this.events(answer);
    else if (path === '/receipts/check') await this.receipt(request, answer);
    else if (path === '/exams' && method === 'POST') await this.receive(url, request, answer);
    else if (path === '/exams') this.list(url, answer);
    else this.one(method, path.split('/').slice(2), answer);
  }

  private async session(method: string, request: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (method === 'POST') {
      const { user, password } = JSON.parse((await body(request)).toString()) as { user: string; password: string };
      if (this.scenario.users[user] !== password) {
        problem(answer, 401, 'sign-in-refused', 'User name or password is wrong.');
        return;
      }
      this.user = user;
    }
    if (method === 'DELETE') {
      this.user = null;
      answer.writeHead(204).end();
      return;
    }
    const { user } = this;
    json(answer, 200, {
      user: user === null ? null : { name: user, display: user, role: 'reader' },
      sign_in: this.scenario.signIn,
      csrf: this.told ?? this.csrf,
      notice: 'SIMULATION',
    });
  }

  private events(answer: ServerResponse): void {
    answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    answer.write(': here\n\n');
    this.listeners.add(answer);
    answer.on('close', () => this.listeners.delete(answer));
  }

  private async receipt(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const bytes = await body(request);
    if (bytes[0] !== 0xd2) {
      problem(answer, 422, 'not-a-receipt', 'This is not a receipt.');
      return;
    }
    const exam = [...this.exams.values()].find((stored) => bytes.includes(stored.exam.id))?.exam;
    json(answer, 200, {
      believed: exam !== undefined,
      sentence: exam === undefined ? 'The receipt’s signature is wrong.' : 'The receipt is verified.',
      claims: exam === undefined ? null : claimsOf(exam),
      label: exam === undefined ? null : 'demo image',
      module_id: 'i-0123456789abcdef0-enc0123456789abcdef0',
      document_time: new Date().toISOString(),
      exam: exam?.id ?? null,
    });
  }

  private async receive(url: URL, request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { refuse } = this.scenario;
    const parts = partsOf(await body(request), request.headers['content-type'] ?? '');
    if (refuse !== null) {
      problem(answer, refuse.status, refuse.type, 'The mock was told to refuse.', refuse.retryAfter);
      return;
    }
    if (this.scenario.enclave !== 'verified') {
      problem(answer, 409, 'not-verified', 'No enclave is verified.');
      return;
    }
    const files = parts.filter((part) => part.name !== 'label');
    if (files.length < 4 && url.searchParams.get('missing') !== 'allow') {
      problem(answer, 422, 'missing-view', 'Views are missing.');
      return;
    }
    const id = randomUUID();
    const label = parts.find((part) => part.name === 'label')?.bytes.toString() ?? '';
    this.exams.set(id, { exam: newExam(id, label, this.user, files), files: files.map((file) => file.bytes) });
    const { exam } = this.exams.get(id) ?? {};
    json(answer, 201, exam, { location: `/api/v1/exams/${id}` });
    this.tell('exam', exam);
    void this.compute(id);
  }

  private async compute(id: string): Promise<void> {
    const { pace, outcome, scores, point, keepImages } = this.scenario;
    const rest = () => new Promise((resolve) => setTimeout(resolve, pace));
    for (const state of ['verified', 'sent'] as ExamState[]) {
      await rest();
      this.change(id, { state, position: null });
    }
    await rest();
    if (outcome === 'abstained')
      this.change(id, { state: 'abstained', reason: { type: 'image-background', sentence: 'L-CC: the background is not 0.' } });
    else if (outcome === 'failed')
      this.change(id, { state: 'failed', reason: { type: 'connection', sentence: 'The enclave did not answer.' } });
    else {
      const views = (this.exams.get(id)?.exam.views ?? []).map((view) => scored(view, scores));
      this.change(id, {
        ...answered(scores, point, this.enclaves()),
        views,
        images_kept: keepImages,
        state: 'answered',
      });
      await rest();
      if (outcome === 'delivered')
        this.change(id, { state: 'delivered', results: [{ id: 'sr', kind: 'cad-sr', view: null, delivered_to: 'pacs' }] });
    }
  }

  private list(url: URL, answer: ServerResponse): void {
    const q = (url.searchParams.get('q') ?? '').toLowerCase();
    const state = url.searchParams.get('state');
    const exams = [...this.exams.values()].map((stored) => stored.exam).reverse();
    json(answer, 200, {
      exams: exams.filter(
        (exam) => (state === null || exam.state === state) && `${exam.label} ${exam.patient ?? ''}`.toLowerCase().includes(q),
      ),
      next: null,
    });
  }

  private one(method: string, [id = '', what, which]: string[], answer: ServerResponse): void {
    const stored = this.exams.get(id);
    if (!stored) problem(answer, 404, 'not-found', 'There is no such exam.');
    else if (method === 'DELETE') {
      this.exams.delete(id);
      answer.writeHead(204).end();
    } else if (what === undefined) json(answer, 200, stored.exam);
    else if (what === 'retry') {
      this.scenario.outcome = 'answered';
      this.change(id, { state: 'received', reason: null });
      json(answer, 202, stored.exam);
      void this.compute(id);
    } else if (what === 'files' && !stored.exam.images_kept) problem(answer, 410, 'images-deleted', 'The images were deleted.');
    else if (what === 'files') answer.writeHead(200, { 'content-type': 'application/octet-stream' }).end(stored.files[Number(which)]);
    else if (what === 'views') answer.writeHead(200, { 'content-type': 'image/png' }).end(spotMap());
    else if (what === 'receipt') {
      const head = { 'content-type': 'application/cose', 'content-disposition': `attachment; filename=receipt-${id}.cose` };
      answer.writeHead(200, head).end(Buffer.concat([Buffer.from([0xd2]), Buffer.from(id)]));
    } else problem(answer, 404, 'not-found', 'There is no such thing.');
  }

  private asset(path: string, answer: ServerResponse): void {
    const file = normalize(join(this.dist, path === '/' ? 'index.html' : path));
    if (!file.startsWith(this.dist) || !existsSync(file)) {
      answer.writeHead(404).end();
      return;
    }
    answer.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': CONTENT_POLICY,
      'x-content-type-options': 'nosniff',
    });
    createReadStream(file).pipe(answer);
  }
}

function json(answer: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

function problem(answer: ServerResponse, status: number, type: string, detail: string, retryAfter?: number): void {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  answer.writeHead(status, headers).end(JSON.stringify({ type: `urn:cloister:problem:${type}`, title: type, detail, status }));
}

async function body(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

interface Part {
  name: string;
  bytes: Buffer;
}

function partsOf(bytes: Buffer, type: string): Part[] {
  const boundary = /boundary=([^;]+)/.exec(type)?.[1];
  if (boundary === undefined) return [];
  const mark = Buffer.from(`--${boundary}`);
  const parts: Part[] = [];
  for (let at = bytes.indexOf(mark); at >= 0;) {
    const next = bytes.indexOf(mark, at + mark.length);
    if (next < 0) break;
    const part = bytes.subarray(at + mark.length + 2, next - 2);
    const split = part.indexOf('\r\n\r\n');
    parts.push({ name: /name="([^"]*)"/.exec(part.subarray(0, split).toString())?.[1] ?? '', bytes: part.subarray(split + 4) });
    at = next;
  }
  return parts;
}

function newExam(id: string, label: string, by: string | null, files: Part[]): Exam {
  const at = new Date().toISOString();
  const order: View[] = ['R-CC', 'L-CC', 'R-MLO', 'L-MLO'];
  return {
    id,
    received_at: at,
    updated_at: at,
    source: 'page',
    label,
    patient: null,
    study_uid: null,
    by,
    state: 'received',
    reason: null,
    steps: [{ state: 'received', at }],
    images_kept: true,
    position: 1,
    views: files.map(({ name, bytes }, file) => ({
      view: order.find((view) => view === name) ?? order[file] ?? null,
      file,
      media: name === 'image' ? 'dicom' : 'png',
      bytes: bytes.length,
      rows: null,
      columns: null,
      scores: null,
      findings: [],
      has_map: false,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })),
    breasts: null,
    findings: [],
    operating_point: null,
    model: null,
    enclave: null,
    receipt: null,
    results: [],
  };
}

function scored(view: ExamView, scores: Scenario['scores']): ExamView {
  const side = view.view?.startsWith('R') === true ? 'right' : 'left';
  return {
    ...view,
    scores: { malignant: scores[side], benign: 0.2 },
    has_map: true,
    findings: side === 'left' ? ['lossy-compression'] : [],
  };
}

function answered(scores: Scenario['scores'], point: boolean, trusted: Enclaves): Partial<Exam> {
  const enclave = trusted.enclaves[0];
  return {
    breasts: { right: { scores: { malignant: scores.right, benign: 0.2 } }, left: { scores: { malignant: scores.left, benign: 0.2 } } },
    operating_point: point ? { label: 'malignant', malignant: 0.5, name: 'screening' } : null,
    model: { name: 'demo-synthetic', version: 1, digest: 'c'.repeat(96) },
    enclave: enclave
      ? {
          name: enclave.name,
          label: enclave.label,
          module_id: enclave.module_id,
          document_time: enclave.document_time,
          checks: enclave.checks,
        }
      : null,
    receipt: { digest: 'd'.repeat(96), key_id: 'e'.repeat(96) },
  };
}

function claimsOf(exam: Exam) {
  return {
    time: exam.updated_at,
    program: 'cloister-enclave 0.1.0',
    model: exam.model,
    views: exam.views.map((view) => ({
      view: view.view,
      pixels_sha256: view.sha256,
      scores: view.scores,
      sop_instance_uid: null,
      map_sha256: null,
    })),
    breasts: exam.breasts,
    nonce: null,
  };
}

/** A map with one bright spot. */
function spotMap(): Buffer {
  const [width, height] = [64, 80];
  return greyPng(width, height, (x, y) => Math.round(255 * Math.exp(-((x - 30) ** 2 + (y - 38) ** 2) / 90)));
}
