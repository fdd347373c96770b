// SPDX-License-Identifier: GPL-2.0-only
import { deviceStore, type Path, see, type Testbed } from '../../litmus/index.js';
import { Kvm, KvmMmuNotifierOps, kvm_mmu_page_fault, RET_PF } from '../../linux/index.js';

/** A guest whose memory begins with the page of a region. */
export function guest(m: Testbed, slotsChange = false) {
  const p = m.process('P');
  const x = p.mmap({ pages: 1, touched: true });
  const gpa = m.device('guest', { mirrors: p });
  const kvm = new Kvm(m.kernel, gpa, p.mm, x.start, p.mm.space.pages - x.start, { slotsChange });
  kvm.mmu_notifier = p.mmuNotifier(new KvmMmuNotifierOps(kvm));
  return { p, x, kvm };
}

/** The guest stores to a page; its faults are served until it can, or there is no page. */
export function* vcpu(kvm: Kvm, gfn: number): Path {
  for (;;) {
    if ((yield* deviceStore(kvm.device, gfn, 1)) !== undefined) return see('the guest stored');
    const r = yield* kvm_mmu_page_fault(kvm, gfn);
    if (r === RET_PF.RETRY) see('retried');
    else if (r !== RET_PF.FIXED) return;
  }
}
