// Refusals in plain words, each with what to do. The names are the gateway's and the enclave's problem types.

type Pair = Record<'en' | 'zh', string>;

export const problems: Record<string, Pair> = {
  offline: {
    en: 'The gateway does not answer. Check the network; nothing is lost, and you can try again.',
    zh: '网关没有应答。请检查网络；没有任何内容丢失，可以重试。',
  },
  'sign-in-refused': { en: 'User name or password is wrong.', zh: '用户名或密码错误。' },
  'sign-in-locked': {
    en: 'Too many wrong passwords. Wait a few minutes and try again.',
    zh: '密码错误次数过多。请等待几分钟后再试。',
  },
  'too-many-requests': { en: 'Too many requests. Wait a little and try again.', zh: '请求过多，请稍后再试。' },
  provider: {
    en: 'The hospital’s sign-in service does not answer. Try again; if that does not help, tell your IT department.',
    zh: '医院的登录服务没有应答。请重试；如仍不行，请通知信息科。',
  },
  'not-allowed': { en: 'You may not do this. Ask an administrator.', zh: '您无权执行此操作，请联系管理员。' },
  'not-meant': { en: 'The page is out of date. Reload it and try again.', zh: '页面已过期，请重新加载后再试。' },
  'signed-out': { en: 'Your session has ended. Sign in again.', zh: '会话已结束，请重新登录。' },
  'too-many-streams': { en: 'The page is open too often. Close other tabs.', zh: '打开的页面过多，请关闭其他标签页。' },

  'upload-too-large': {
    en: 'A file is too large. Export the image without other data and try again.',
    zh: '文件过大。请只导出图像后再试。',
  },
  'too-many-files': { en: 'An exam has at most four views. Remove the rest.', zh: '一次检查最多四个体位，请移除多余的文件。' },
  'no-view': {
    en: 'A file does not say which of the four views it shows. Remove it, or choose its view.',
    zh: '有文件没有说明是四个体位中的哪一个。请移除，或选择体位。',
  },
  'body-broken': { en: 'The upload was broken on its way. Send again.', zh: '上传途中出错，请重新发送。' },
  'body-stalled': { en: 'The upload took too long. Check the network and send again.', zh: '上传时间过长。请检查网络后重新发送。' },
  'no-files': { en: 'No image was sent. Drop the views and try again.', zh: '没有发送图像，请放入图像后再试。' },
  'not-an-image': { en: 'A file is neither DICOM nor PNG. Remove it.', zh: '有文件既不是 DICOM，也不是 PNG。请移除。' },
  'part-twice': { en: 'The same view was sent twice. Remove one.', zh: '同一体位发送了两次，请移除一个。' },
  'missing-view': {
    en: 'Views are missing. Drop them too, or allow sending without them.',
    zh: '缺少体位。请补充，或选择不含缺少的体位发送。',
  },
  'part-missing': {
    en: 'Views are missing. Drop them too, or allow sending without them.',
    zh: '缺少体位。请补充，或选择不含缺少的体位发送。',
  },
  'queue-full': { en: 'The queue is full. Nothing was sent; try again in a moment.', zh: '队列已满。没有发送任何内容，请稍后再试。' },
  spool: { en: 'The gateway cannot write to its disk. Tell your IT department.', zh: '网关无法写入磁盘，请通知信息科。' },
  'not-verified': {
    en: 'No enclave is verified, so nothing was sent. Ask your IT department.',
    zh: '没有通过验证的飞地，因此没有发送任何内容。请联系信息科。',
  },
  'receipt-not-believed': {
    en: 'The answer’s receipt does not hold, so its scores are not shown. Tell your IT department.',
    zh: '应答的回执不成立，因此不显示其评分。请通知信息科。',
  },
  'answer-not-understood': {
    en: 'The enclave’s answer cannot be read. Gateway and enclave may be of different versions; tell your IT department.',
    zh: '无法读取飞地的应答。网关与飞地的版本可能不同，请通知信息科。',
  },
  internal: { en: 'The gateway made a mistake. Tell your IT department.', zh: '网关内部出错，请通知信息科。' },
  'not-failed': { en: 'The exam has not failed, or its images are gone.', zh: '检查没有失败，或图像已不存在。' },
  'not-answered': { en: 'The exam has no answer yet.', zh: '检查尚无应答。' },
  connection: {
    en: 'The enclave could not be reached. The gateway keeps the images; try again.',
    zh: '无法连接飞地。网关保存着图像，请重试。',
  },
  'not-ready': { en: 'The enclave is starting. Try again in a minute.', zh: '飞地正在启动，请一分钟后再试。' },
  'images-deleted': { en: 'The images were deleted after delivery.', zh: '图像在送达后已删除。' },
  'not-found': { en: 'There is no such exam, or you may not see it.', zh: '没有这项检查，或者您无权查看。' },
  'not-a-receipt': { en: 'This file is not a receipt.', zh: '这个文件不是回执。' },

  'exam-mixed': {
    en: 'The files belong to different patients or studies. Send one exam at a time.',
    zh: '文件属于不同的患者或检查。请一次只发送一项检查。',
  },
  'image-too-large': { en: 'An image has more pixels than the enclave takes.', zh: '图像的像素数超过飞地的上限。' },
  'image-colour': { en: 'An image is in colour. Send the original grey one.', zh: '图像是彩色的，请发送原始灰度图像。' },
  'image-bit-depth': {
    en: 'An image has too few grey levels. Send the original, not a copy for the screen.',
    zh: '图像灰度级过少。请发送原始图像，而不是屏幕副本。',
  },
  'image-damaged': { en: 'An image is damaged. Export it again.', zh: '图像已损坏，请重新导出。' },
  'image-all-zero': { en: 'An image is empty. Export it again.', zh: '图像为空，请重新导出。' },
  'image-background': {
    en: 'The background of an image is not black, as in some scanned films. The network was not made for it.',
    zh: '图像背景不是黑色（常见于扫描胶片）。网络不适用于此类图像。',
  },
  'image-wrong-side': {
    en: 'An image shows the other breast than its view says. Check the view, or whether the image was mirrored.',
    zh: '图像显示的乳房与其体位不符。请核对体位，或图像是否被镜像。',
  },
  'image-no-breast': {
    en: 'No breast was found in an image. Check that it is a mammogram.',
    zh: '图像中未找到乳房。请确认它是乳腺 X 线图像。',
  },
  'image-uniform': { en: 'An image is of one grey. Export it again.', zh: '图像只有一种灰度，请重新导出。' },
  'image-saturated': {
    en: 'Much of the breast in an image is as bright as can be. Use the image “for presentation”, or repeat it.',
    zh: '图像中大部分乳房已达最大亮度。请使用“供显示”的图像，或重新拍摄。',
  },
  'image-cut-off': { en: 'About half of the breast is outside of an image.', zh: '约一半乳房不在图像内。' },
  'image-drawn-over': {
    en: 'Lines are drawn over the breast in an image. Export it without annotations.',
    zh: '图像中的乳房上画有线条。请导出不带标注的图像。',
  },
  'exam-same-image': {
    en: 'Two views are the same picture, perhaps mirrored. Check which files were sent.',
    zh: '两个体位是同一幅图像（可能是镜像）。请核对所发送的文件。',
  },
  'view-not-served': { en: 'The model does not score this view.', zh: '模型不对此体位评分。' },

  'not-dicom': { en: 'A file is not DICOM.', zh: '有文件不是 DICOM。' },
  'not-a-png': { en: 'A file is neither DICOM nor PNG. Remove it.', zh: '有文件既不是 DICOM，也不是 PNG。请移除。' },
  'dicom-damaged': { en: 'A DICOM file is damaged or cut short. Export it again.', zh: 'DICOM 文件已损坏或不完整，请重新导出。' },
  'dicom-transfer-syntax': {
    en: 'A DICOM file is compressed in a way that is not read. Export it uncompressed.',
    zh: 'DICOM 文件的压缩方式无法读取，请导出未压缩的文件。',
  },
  'dicom-not-a-mammogram': { en: 'A DICOM file is not a mammogram of one view.', zh: 'DICOM 文件不是单一体位的乳腺 X 线图像。' },
  'dicom-for-processing': {
    en: 'A file is raw data “for processing”. Use the image “for presentation”.',
    zh: '文件是“待处理”的原始数据，请使用“供显示”的图像。',
  },
  'dicom-implant': { en: 'The breast has an implant. The network was not made for it.', zh: '乳房有植入物，网络不适用。' },
  'dicom-view-not-taken': {
    en: 'A file shows another view than CC or MLO, or a magnified or compressed part.',
    zh: '文件不是 CC 或 MLO 体位，或者是放大、点压图像。',
  },
  'dicom-no-view': { en: 'A file does not say its view or side.', zh: '文件没有说明体位或侧别。' },
  'dicom-other-view': { en: 'A file says another view than it was sent as.', zh: '文件中的体位与发送时的不同。' },
  'dicom-contradiction': {
    en: 'A file contradicts itself about view, side or greys. Ask whoever maintains the device.',
    zh: '文件中关于体位、侧别或灰度的说明相互矛盾，请联系设备维护人员。',
  },
  'dicom-greys': { en: 'The greys of a file are stored in a way that is not read.', zh: '文件的灰度存储方式无法读取。' },
};
