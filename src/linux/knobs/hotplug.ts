// SPDX-License-Identifier: GPL-2.0-only
/** Memory hotplug and device memory. */
export const HOTPLUG = {
  'debug_vm.poison': {
    on: '6.12 with CONFIG_DEBUG_VM: page_init_poison() overwrites struct pages that are uninitialised again',
    off: '6.12 without CONFIG_DEBUG_VM, or vm_debug=-',
  },
  'percpu_ref.switch': {
    gp: '6.12: percpu_ref_kill() adds the per-CPU counts up after a grace period',
    'no-gp': 'G-06 twin: adds them up at once',
  },
  'mem_hotplug_begin.gp': {
    'when-idle': '6.12: percpu_down_write() waits a grace period if rcu_sync is idle, and only then',
    always: 'the thread: a synchronize_rcu() in mem_hotplug_begin() itself, which Popple considered',
    never: 'the lock without its hidden grace period: what nobody promised',
  },
  'pageunmap_range.gp': {
    'after-remove': "6.12: only pgmap_array_delete()'s, after arch_remove_memory()",
    'after-begin': 'the thread: Popple adds synchronize_rcu() right after mem_hotplug_begin()',
  },
  'pgmap_array_delete.gp': {
    on: '6.12: synchronize_rcu() between the removal from pgmap_array and the end of the pgmap',
    off: 'G-06b twin: a look-up that has found the pgmap may meet it freed',
  },
  'offline_pages.gp': {
    'before-isolation': "6.12: only lru_cache_disable()'s, before the pages are isolated",
    'before-poison':
      'G-07: a grace period after __offline_isolated_pages(), before the struct pages are poisoned',
    'before-remove':
      'G-07: a grace period in try_remove_memory(), after the poison and before vmemmap_free()',
  },
  'free_zone_device_folio.count': {
    'after-page_free':
      '6.12: the type of the pgmap is read and the count set to 1 after page_free(), which in p2pdma drops the pgmap reference',
    'before-page_free': 'both while that reference is held',
  },
  'sparse.usage_free': {
    rcu: '6.8 (5ec8e8ea8b77): kfree_rcu(ms->usage), and pfn_valid() reads it under RCU',
    direct: 'before: kfree(ms->usage), and pfn_valid() is no reader',
  },
  'ksm.memory_notifier': {
    on: '6.12: ksm_memory_callback() stops ksmd while memory goes offline, and drops stale nodes',
    off: 'G-13: KSM does not hear of memory hotplug',
  },
  'ksm.offline_prune': {
    on: '6.12: ksm_memory_callback(MEM_OFFLINE) drops the nodes whose pages went',
    off: 'G-13: it only lets ksmd run again',
  },
} as const;
