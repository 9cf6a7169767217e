import { hueOf } from '../format.js';

/** A drawing in a colour of the model's own; it says nothing that the text does not. */
export function CarPicture({ name }) {
  const hue = hueOf(name);
  const id = `sky-${hue}`;
  return (
    <svg className="picture" viewBox="0 0 320 170" aria-hidden="true" preserveAspectRatio="xMidYMid slice">
      <defs>
        <linearGradient id={id} x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor={`hsl(${hue} 60% 90%)`} />
          <stop offset="1" stopColor={`hsl(${hue} 45% 97%)`} />
        </linearGradient>
      </defs>
      <rect width="320" height="170" fill={`url(#${id})`} />
      <path d="M0 118 Q60 84 120 108 T240 100 T320 110 V170 H0Z" fill={`hsl(${hue} 35% 84%)`} />
      <rect y="138" width="320" height="32" fill="#3c4654" />
      <path d="M10 154h36M74 154h36M138 154h36M202 154h36M266 154h36" stroke="#fff" strokeWidth="3" opacity=".55" />
      <path
        d="M46 134c-5 0-8-3-8-8v-9c0-9 5-14 14-16l30-6 30-29c8-7 16-11 27-11h52c12 0 21 4 29 12l25 26 26 5c10 2 15 8 15 17v11c0 5-3 8-8 8z"
        fill={`hsl(${hue} 62% 46%)`}
      />
      <path d="M104 93l23-23c5-5 10-7 17-7h14v30zM168 63h21c8 0 14 3 20 9l19 21h-60z" fill="#e9f3fb" />
      <path d="M38 117h16v8H38zM274 114h12v8h-12z" fill="#ffdf8e" />
      <path d="M162 97v32" stroke={`hsl(${hue} 62% 34%)`} strokeWidth="2" />
      {[92, 232].map((x) => (
        <g key={x}>
          <circle cx={x} cy="134" r="19" fill="#1d2530" />
          <circle cx={x} cy="134" r="9" fill="#cfd6de" />
        </g>
      ))}
    </svg>
  );
}
