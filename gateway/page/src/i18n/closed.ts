// Words for the names in closed lists: the checks of an attestation, refusals, findings.

import type { CheckId } from '../api/types';
import type { Language } from './index';
import { problems } from './problems';

/** A check's name and what it means are two lists; so are a problem and what to do about it. */
export type ClosedKind = 'check' | 'check-meaning' | 'problem' | 'finding' | 'label';

type Pair = Record<Language, string>;

export const checkNames: Record<CheckId, Pair> = {
  connection: { en: 'Connection', zh: '连接' },
  shape: { en: 'Form of the proof', zh: '证明的格式' },
  certificates: { en: 'Certificates', zh: '证书' },
  signature: { en: 'Signature', zh: '签名' },
  time: { en: 'Time', zh: '时间' },
  'debug-mode': { en: 'Not in debug mode', zh: '非调试模式' },
  nonce: { en: 'Answer to this question', zh: '针对本次询问' },
  measurements: { en: 'Program', zh: '程序' },
  configuration: { en: 'Configuration', zh: '配置' },
  model: { en: 'Model', zh: '模型' },
  'tls-key': { en: 'Same connection', zh: '同一连接' },
};

export const checkMeanings: Record<CheckId, Pair> = {
  connection: {
    en: 'The enclave answered, over an encrypted connection that ends inside it.',
    zh: '飞地已应答，加密连接的终点就在飞地内部。',
  },
  shape: {
    en: 'The proof is written byte for byte as the security chip writes it.',
    zh: '证明的每个字节都符合安全芯片的写法。',
  },
  certificates: {
    en: 'An unbroken chain of certificates leads from the proof to the maker of the chip, whose root your hospital pinned.',
    zh: '一条完整的证书链从该证明通向芯片制造方，其根证书由本院固定。',
  },
  signature: {
    en: 'The security chip signed the proof. Nobody has changed it since.',
    zh: '证明由安全芯片签名，此后无人改动。',
  },
  time: {
    en: 'The proof is fresh, not one that was kept from earlier.',
    zh: '证明是新出具的，不是以前保留下来的。',
  },
  'debug-mode': {
    en: 'The enclave is closed. In debug mode its owner could look inside.',
    zh: '飞地是封闭的。在调试模式下，所有者可以窥视内部。',
  },
  nonce: {
    en: 'The proof holds a random number that was made for this question alone, so it cannot be a recording.',
    zh: '证明中含有专为本次询问生成的随机数，因此不可能是录制的。',
  },
  measurements: {
    en: 'The fingerprint of the program that runs in the enclave is one that your hospital approved.',
    zh: '飞地中运行的程序，其指纹是本院批准的。',
  },
  configuration: {
    en: 'So is the fingerprint of its configuration: what it may load, and what may leave it.',
    zh: '其配置的指纹同样经本院批准：可以加载什么，什么可以离开。',
  },
  model: {
    en: 'The model that was loaded is the one that your hospital expects, bit for bit.',
    zh: '加载的模型与本院预期的完全一致，逐位相同。',
  },
  'tls-key': {
    en: 'The proof belongs to the very connection that your images will take. Nobody stands in between.',
    zh: '证明属于图像将要使用的这条连接，中间没有任何人。',
  },
};

export const findings: Record<string, Pair> = {
  'burned-in-annotation': {
    en: 'Writing is burned into the pixels. It may name the patient, and the network sees it.',
    zh: '像素中烧录有文字。其中可能有患者姓名，网络也会看到。',
  },
  'lossy-compression': { en: 'The image was compressed with loss.', zh: '图像经过有损压缩。' },
  'secondary-capture': {
    en: 'A film that was scanned, or a captured screen. The network was made for detectors’ images.',
    zh: '扫描的胶片或截取的屏幕图像。网络是为探测器图像设计的。',
  },
  'view-in-patient-orientation': {
    en: 'The view stands in an unusual place in the file (Patient Orientation).',
    zh: '体位写在文件中不寻常的位置（患者方向）。',
  },
  'mixed-patients': { en: 'The files name different patients.', zh: '文件属于不同的患者。' },
  'mixed-studies': { en: 'The files belong to different studies.', zh: '文件属于不同的检查。' },
  'cut-off-bottom': {
    en: 'The breast is cut off at the lower edge. Tissue that is not in the picture has no score.',
    zh: '乳房在下缘被截断。不在图像中的组织没有评分。',
  },
  'cut-off-far': {
    en: 'The breast reaches the edge away from the chest: the nipple may be missing.',
    zh: '乳房触及远离胸壁的边缘：乳头可能缺失。',
  },
  'cut-off-top': {
    en: 'The breast is cut off at the upper edge. Tissue that is not in the picture has no score.',
    zh: '乳房在上缘被截断。不在图像中的组织没有评分。',
  },
  'drawn-line': { en: 'A line is drawn on the breast: an annotation, or a fault of the detector.', zh: '乳房上有直线：标注或探测器故障。' },
  'edge-line': {
    en: 'A line lies along an edge: part of a frame, a film’s edge or a collimator.',
    zh: '边缘有直线：边框、胶片边缘或准直器。',
  },
  'lit-background': { en: 'The background is not black everywhere: fog, or text.', zh: '背景并非全黑：灰雾或文字。' },
  'low-contrast': { en: 'The breast has little contrast.', zh: '乳房对比度低。' },
  saturated: { en: 'Part of the breast is as bright as can be; nothing shows there.', zh: '部分乳房已达最大亮度，其中看不到任何结构。' },
  'small-breast': { en: 'The breast is small in the picture, so fine detail is missing.', zh: '乳房在图像中很小，缺少细节。' },
  'view-doubtful': {
    en: 'The picture does not look like the view that it is called. Check the view.',
    zh: '图像看起来与所标体位不符，请核对体位。',
  },
  'missing-R-CC': { en: 'Right CC was not sent, so this breast as a whole has no score.', zh: '没有发送右侧 CC，因此这侧乳房没有总评分。' },
  'missing-L-CC': { en: 'Left CC was not sent, so this breast as a whole has no score.', zh: '没有发送左侧 CC，因此这侧乳房没有总评分。' },
  'missing-R-MLO': {
    en: 'Right MLO was not sent, so this breast as a whole has no score.',
    zh: '没有发送右侧 MLO，因此这侧乳房没有总评分。',
  },
  'missing-L-MLO': {
    en: 'Left MLO was not sent, so this breast as a whole has no score.',
    zh: '没有发送左侧 MLO，因此这侧乳房没有总评分。',
  },
};

/** The labels of the model that is described in the documents; another model's are shown as it names them. */
const labels: Record<string, Pair> = { malignant: { en: 'malignant', zh: '恶性' }, benign: { en: 'benign', zh: '良性' } };

const LISTS: Record<ClosedKind, Record<string, Pair>> = {
  check: checkNames,
  'check-meaning': checkMeanings,
  problem: problems,
  finding: findings,
  label: labels,
};

export function closedWords(language: Language, kind: ClosedKind, name: string): string | null {
  const list = LISTS[kind];
  return Object.hasOwn(list, name) ? (list[name]?.[language] ?? null) : null;
}
