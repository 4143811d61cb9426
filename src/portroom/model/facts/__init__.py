"""The nouns: values that say what is, without a judgement."""
