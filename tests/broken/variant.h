const struct loom_plugin *variant_of(uint32_t index);
#define VARIANT_ENTRY(name)                                                                                            \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        static struct loom_plugin variant;                                                                             \
        variant = *variant_of(0);                                                                                      \
        variant.id = name;                                                                                             \
        return index == 0 ? &variant : NULL;                                                                           \
    }

#endif
