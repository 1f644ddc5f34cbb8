/** The same object with some of its methods replaced; those of the original keep their `this`. */
export function overriding<Target extends object>(inner: Target, replaced: Partial<Target>): Target {
  return new Proxy(inner, {
    get(target, property) {
      if (property in replaced) return Reflect.get(replaced, property);
      const value: unknown = Reflect.get(target, property);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
