// A hospital's gateway with a simulated enclave, each part a process of its own, as in scripts/demo.sh.

import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { View } from '../../src/api/types.ts';

const ROOT = resolve(import.meta.dirname, '../../../..');
const BIN = resolve(ROOT, process.env.CLOISTER_BIN ?? 'target/debug');
const PACKAGE = join(ROOT, 'models/demo/package');

/** How long a process may take until it listens, or an enclave until it is ready: compilers run beside it. */
const PATIENCE_MS = 180_000;

const sha384 = (bytes: Buffer | string) => createHash('sha384').update(bytes).digest('hex');
export const rest = (ms: number) => new Promise((done) => setTimeout(done, ms));

export class System {
  readonly folder = mkdtempSync(join(tmpdir(), 'cloister-page-'));
  /** The parent's relay. */
  relay = '';
  private readonly processes: ChildProcess[] = [];
  private readonly pcrs = [sha384(readFileSync(join(BIN, 'cloister-enclave'))), sha384('a kernel'), sha384('an application')];

  static async start(): Promise<System> {
    const system = new System();
    try {
      await system.boot();
    } catch (error) {
      await system.end();
      throw error;
    }
    return system;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Runs a verb of the command line to its end. */
  cloister(args: string[], input?: string, env: Record<string, string> = {}): string {
    return execFileSync(join(BIN, 'cloister'), args, { input, env: { ...process.env, ...env }, encoding: 'utf8' });
  }

  /** A policy that takes this enclave, or another image. */
  policy(name: string, other = false): string {
    const out = this.path(`${name}.toml`);
    const [zero = '', one = '', two = ''] = other ? [this.pcrs[1], this.pcrs[1], this.pcrs[2]] : this.pcrs;
    const config = other ? [] : ['--config', this.path('enclave.toml')];
    const root = this.path('nsm/root.pem');
    const pcrs = ['--pcr', `0=${zero}`, '--pcr', `1=${one}`, '--pcr', `2=${two}`];
    this.cloister(['policy', 'make', '--label', 'demo image', ...pcrs, '--package', PACKAGE, ...config, '--root', root, '--out', out]);
    return out;
  }

  /** Draws one view of a synthetic person, as PNG. */
  drawn(view: View, seed: number, masses: number): Buffer {
    const out = this.path(`${view}-${seed}-${masses}.png`);
    if (!existsSync(out)) {
      const size = ['--width', '640', '--height', '832'];
      this.cloister(['synthetic', '--view', view, '--seed', String(seed), ...size, '--masses', String(masses), '--out', out]);
    }
    return readFileSync(out);
  }

  start(name: string, program: string, args: string[], env: Record<string, string> = {}): ChildProcess {
    const log = openSync(this.path(`${name}.log`), 'a');
    const process_ = spawn(join(BIN, program), args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
    this.processes.push(process_);
    return process_;
  }

  /** What a process writes once it listens. */
  async written(file: string, by: ChildProcess): Promise<string> {
    const end = Date.now() + PATIENCE_MS;
    while (!existsSync(file) || readFileSync(file).length === 0) {
      if (by.exitCode !== null) throw new Error(`the process that should write ${file} has ended`);
      if (Date.now() > end) throw new Error(`nothing wrote ${file}`);
      await rest(50);
    }
    return readFileSync(file, 'utf8').trim();
  }

  async end(): Promise<void> {
    for (const each of this.processes.reverse()) {
      if (each.exitCode !== null || each.signalCode !== null) continue;
      const ended = new Promise((done) => each.once('exit', done));
      each.kill('SIGTERM');
      await Promise.race([ended, rest(5_000).then(() => each.kill('SIGKILL'))]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async boot(): Promise<void> {
    execFileSync(join(BIN, 'cloister-sim'), ['nsm', 'init', '--dir', this.path('nsm')]);
    const { endpoint, port, key } = await this.kms();
    const owner = { AWS_ACCESS_KEY_ID: 'CLOISTERSIMMODELOWNER', AWS_SECRET_ACCESS_KEY: 'simulated-secret-of-the-model-owner' };
    const at = ['--endpoint', endpoint, '--ca', this.path('kms-ca.pem')];
    this.cloister(['model', 'seal', '--package', PACKAGE, '--key-id', key, '--out', this.path('model.sealed'), ...at], undefined, owner);
    writeFileSync(this.path('enclave.toml'), this.enclaveConfig(endpoint, key));
    writeFileSync(this.path('allowlist.yaml'), `allowlist:\n- {address: localhost, port: ${port}}\n`);
    this.start('proxy', 'cloister-proxy', ['--listen', `unix://${this.path('egress')}`, '--config', this.path('allowlist.yaml')]);
    await this.parent();
    const pcrs = this.pcrs.flatMap((value, index) => ['--simulated-pcr', `${index}=${value}`]);
    this.start('enclave', 'cloister-enclave', ['--config', this.path('enclave.toml'), '--simulated-nsm', this.path('nsm'), ...pcrs]);
  }

  private async kms(): Promise<{ endpoint: string; port: string; key: string }> {
    const owner = ['kms:CreateKey', 'kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:PutKeyPolicy', 'kms:GenerateDataKey'];
    const policy = {
      Version: '2012-10-17',
      Statement: [
        { Sid: 'owner', Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::111122223333:root' }, Action: owner, Resource: '*' },
        {
          Sid: 'enclave',
          Effect: 'Allow',
          Principal: { AWS: 'arn:aws:iam::444455556666:role/cloister-parent' },
          Action: 'kms:Decrypt',
          Resource: '*',
          Condition: { StringEqualsIgnoreCase: { 'kms:RecipientAttestation:ImageSha384': this.pcrs[0] } },
        },
      ],
    };
    writeFileSync(this.path('key-policy.json'), JSON.stringify(policy));
    const flags = { listen: 'tcp://127.0.0.1:0', 'nsm-root': 'nsm/root.pem', 'ca-out': 'kms-ca.pem', 'address-out': 'kms-address' };
    const files = { 'key-policy': 'key-policy.json', 'key-out': 'key-arn' };
    const args = Object.entries({ ...flags, ...files }).flatMap(([name, value]) => [
      `--${name}`,
      name === 'listen' ? value : this.path(value),
    ]);
    const kms = this.start('kms', 'cloister-sim', ['kms', ...args]);
    const key = await this.written(this.path('key-arn'), kms);
    const port = (await this.written(this.path('kms-address'), kms)).replace(/.*:/, '');
    return { endpoint: `https://localhost:${port}`, port, key };
  }

  private enclaveConfig(endpoint: string, key: string): string {
    return [
      `version = 1\n[model]\nname = "demo-synthetic"\nminimum_version = 1\nkey_arns = ["${key}"]`,
      `[kms]\nendpoint = "${endpoint}"\nca = """\n${readFileSync(this.path('kms-ca.pem'), 'utf8')}\n"""`,
      `[parent]\ncontrol = "unix://${this.path('control')}"\negress = "unix://${this.path('egress')}"`,
      `[serve]\nlisten = "unix://${this.path('enclave')}"\n`,
    ].join('\n');
  }

  private async parent(): Promise<void> {
    const flags = {
      'relay-listen': 'tcp://127.0.0.1:0',
      enclave: `unix://${this.path('enclave')}`,
      'control-listen': `unix://${this.path('control')}`,
      'http-listen': 'tcp://127.0.0.1:0',
      model: this.path('model.sealed'),
      'address-file': this.path('parent.json'),
    };
    const credentials = {
      AWS_ACCESS_KEY_ID: 'CLOISTERSIMPARENT',
      AWS_SECRET_ACCESS_KEY: 'simulated-secret-of-the-parent',
      AWS_SESSION_TOKEN: 'simulated-session-token-of-the-parent',
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const parent = this.start('parent', 'cloister-parent', args, credentials);
    this.relay = (JSON.parse(await this.written(this.path('parent.json'), parent)) as { relay: string }).relay;
  }
}

/** A gateway that can be stopped and started again at the same address. */
export class Gateway {
  address = '';
  private process: ChildProcess | null = null;

  private constructor(
    private readonly system: System,
    private readonly name: string,
    private readonly config: (listen: string) => string,
  ) {}

  /** Users are names to passwords; without any, nobody signs in. */
  static async start(system: System, name: string, policy: string, users: Record<string, string> = {}, more = ''): Promise<Gateway> {
    const folder = system.path(name);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'users.toml');
    const entry = ([user, password]: [string, string]) => {
      const hash = system.cloister(['gateway', 'password'], `${password}\n`).trim();
      return `[[user]]\nname = "${user}"\ndisplay = "Dr ${user}"\nrole = "${user === 'admin' ? 'administrator' : 'reader'}"\npassword = "${hash}"\n`;
    };
    writeFileSync(file, Object.entries(users).map(entry).join(''));
    const access = Object.keys(users).length === 0 ? '' : `[access]\nusers = "${file}"\n`;
    const enclave = `[[enclave]]\nname = "reading-room"\naddress = "${system.relay}"\n`;
    const gateway = new Gateway(
      system,
      name,
      (listen) => `listen = "tcp://${listen}"\ndata = "${folder}/data"\npolicy = "${policy}"\n${more}\n${access}${enclave}`,
    );
    const port = await freePort();
    gateway.address = `http://127.0.0.1:${port}`;
    await gateway.begin();
    return gateway;
  }

  async begin(): Promise<void> {
    const folder = this.system.path(this.name);
    const config = join(folder, 'gateway.toml');
    const bound = join(folder, 'bound.json');
    writeFileSync(config, this.config(this.address.replace('http://', '')));
    rmSync(bound, { force: true });
    this.process = this.system.start(this.name, 'cloister', ['gateway', '--config', config, '--address-file', bound]);
    await this.system.written(bound, this.process);
  }

  /** Without a word to anybody, as a power cut does. */
  async kill(): Promise<void> {
    const { process } = this;
    if (process === null) return;
    const ended = new Promise((done) => process.once('exit', done));
    process.kill('SIGKILL');
    await ended;
  }

  /** Until an enclave is verified. */
  async ready(): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while ((await fetch(`${this.address}/readyz`).catch(() => null))?.status !== 200) {
      if (Date.now() > end) throw new Error('no enclave was verified');
      await rest(200);
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? done(address.port) : failed(new Error('no port'))));
    });
  });
}
