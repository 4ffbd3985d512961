// What the gateway's API (`/api/v1`) says. Times are RFC 3339, in UTC.

export type View = 'R-CC' | 'L-CC' | 'R-MLO' | 'L-MLO';

/** As they hang: right breast on the left, CC above MLO. */
export const VIEWS: readonly View[] = ['R-CC', 'L-CC', 'R-MLO', 'L-MLO'];

export const SIDES = ['right', 'left'] as const;
export type Side = (typeof SIDES)[number];

export interface Session {
  user: { name: string; display: string; role: 'reader' | 'administrator' } | null;
  sign_in: 'none' | 'password' | 'oidc';
  csrf: string;
  notice: string | null;
}

/** In the order in which they are made. */
export const CHECKS = [
  'connection',
  'shape',
  'certificates',
  'signature',
  'time',
  'debug-mode',
  'nonce',
  'measurements',
  'configuration',
  'model',
  'tls-key',
] as const;
export type CheckId = (typeof CHECKS)[number];

export interface Check {
  id: string;
  outcome: 'passed' | 'failed' | 'not-reached';
  expected: string | null;
  found: string | null;
}

export interface Model {
  name: string;
  version: number | string;
  digest: string;
}

export interface Enclave {
  name: string;
  address: string;
  state: 'verified' | 'refused' | 'unreachable' | 'checking';
  checked_at: string | null;
  sentence: string;
  simulated: boolean;
  label: string | null;
  module_id: string | null;
  document_time: string | null;
  policy_until: string | null;
  checks: Check[];
  model: Model | null;
}

export interface Enclaves {
  can_send: boolean;
  enclaves: Enclave[];
}

export const STATES = ['receiving', 'received', 'verified', 'sent', 'answered', 'delivered', 'failed', 'abstained'] as const;
export type ExamState = (typeof STATES)[number];

export type Scores = Record<string, number>;

export interface ExamView {
  view: View | null;
  file: number;
  media: 'dicom' | 'png';
  bytes: number;
  rows: number | null;
  columns: number | null;
  scores: Scores | null;
  findings: string[];
  has_map: boolean;
  sha256: string;
}

export interface OperatingPoint {
  label: string;
  malignant: number;
  name: string;
}

export interface Result {
  id: string;
  kind: 'cad-sr' | 'text-sr' | 'secondary-capture';
  view: View | null;
  delivered_to: string | null;
}

export interface Exam {
  id: string;
  received_at: string;
  updated_at: string;
  source: 'page' | 'api' | 'stow' | 'folder' | 's3';
  label: string;
  patient: string | null;
  study_uid: string | null;
  by: string | null;
  state: ExamState;
  reason: { type: string; sentence: string } | null;
  steps: { state: string; at: string }[];
  images_kept: boolean;
  position: number | null;
  views: ExamView[];
  breasts: Partial<Record<Side, { scores: Scores } | null>> | null;
  findings: string[];
  operating_point: OperatingPoint | null;
  model: Model | null;
  enclave: { name: string; label: string | null; module_id: string | null; document_time: string | null; checks?: Check[] } | null;
  receipt: { digest: string; key_id: string } | null;
  results: Result[];
}

export interface ExamList {
  exams: Exam[];
  next: string | null;
}

export interface ReceiptClaims {
  time: string;
  program: string;
  model: Model;
  views: {
    view: View;
    pixels_sha256: string;
    scores: Scores;
    sop_instance_uid: string | null;
    map_sha256: string | null;
  }[];
  breasts: Partial<Record<Side, { scores: Scores } | Scores | null>> | null;
  nonce: string | null;
}

export interface ReceiptVerdict {
  believed: boolean;
  sentence: string;
  claims: ReceiptClaims | null;
  label: string | null;
  module_id: string | null;
  document_time: string | null;
  exam: string | null;
}
