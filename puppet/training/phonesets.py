"""The phoneme names of the training voices, as IPA."""

from __future__ import annotations

_PAUSES = ("pau", "sil", "brth", "h#", "#", "##", "_", "ssil", "SIL")


def _set(table: str) -> dict[str, str]:
    pairs = (entry.split("=") for entry in table.split())
    return {name: ipa for names, ipa in pairs for name in names.split(",")} | dict.fromkeys(_PAUSES, "")


CMU = _set(
    "p=p b=b m,em=m f=f v=v th=θ dh=ð t=t d=d n,nx,en=n dx=ɾ l,el=l r=ɹ s=s z=z sh=ʃ zh=ʒ ch=tʃ jh=dʒ k=k g=ɡ ng=ŋ "
    "hh,hv,h=h w=w y=j aa=ɑ ae=æ ah=ʌ ax=ə axr,er=ɜ eh=ɛ ih,ix=ɪ iy=i ao=ɔ uh=ʊ uw=u ey=eɪ ay=aɪ aw=aʊ oy=ɔɪ ow=oʊ"
)
"""American English of flite and Festival."""

ITALIAN = _set(
    "i,i1=i e,e1=e E,E1=ɛ a,a1=a o,o1=o O,O1=ɔ u,u1=u j=j w=w p=p t=t k=k b=b d=d g=ɡ f=f v=v s=s z=z S=ʃ Z=ʒ ts=ts "
    "dz=dz tS=tʃ dZ=dʒ m=m n=n J=ɲ ng=ŋ nf=ɱ l=l L=ʎ r=r"
)

CZECH = _set(
    "a,a:=a b=b c=ts c~=tʃ ch=x d=d d~=ɟ dz=dz dz~=dʒ e,e:=ɛ f=f g=ɡ h=h i,i:=i j=j k=k l=l m=m n=n n*=ŋ n~=ɲ o,o:=o "
    "p=p r=r r~,r~*=ʒ s=s s~=ʃ t=t t~=c u,u:=u v=v z=z z~=ʒ"
)

FINNISH = _set(
    "a,a:=ɑ e,e:=e i,i:=i o,o:=o u,u:=u y,y:=y @,@:=ə 7,7:=ø &,&:=æ p,p:=p t,t:=t k,k:=k b=b d=d g=ɡ f,f:=f T=θ D=ð "
    "s,s:=s S=ʃ h,h:=h v,v:=ʋ m,m:=m n,n:=n N,N:=ŋ l,l:=l L=ʎ r,r:=r j,j:=j w=w z=z Z=ʒ"
)

CATALAN = _set(
    "ax=ə a,a1=a b=b d=d e,e1=e E,E1=ɛ f=f g=ɡ i,i1=i j,y=j J=ɲ k=k l=l L=ʎ m=m n=n N=ŋ o,o1=o O,O1=ɔ p=p r=ɾ rr=r s=s "
    "S=ʃ t=t tS=tʃ dZ=dʒ ts=ts dz=dz u,u1=u w=w z=z Z=ʒ v=v B=β D=ð G=ɣ"
)

RUSSIAN = _set(
    "a,aa=a e,ee=e i,ii=i o,oo=o u,uu=u y,yy=ɨ p,pp=p b,bb=b m,mm=m f,ff=f v,vv=v t,tt=t d,dd=d n,nn=n s,ss=s z,zz=z "
    "l,ll=l r,rr=r k,kk=k g,gg=ɡ h,hh=x sh,sch=ʃ zh=ʒ c=ts ch=tʃ j=j ae,ay=ə ur=ʊ"
)

JAPANESE = _set(
    "a,A=a i,I=i u,U=ɯ e,E=e o,O=o N=ɴ cl=ʔ p,py=p b,by=b m,my=m f=ɸ v=v t,ty=t d,dy=d n=n ny=ɲ r,ry=ɾ s=s z=z ts=ts "
    "sh=ɕ j=dʑ ch=tɕ k,kw,ky=k g,gw,gy=ɡ h=h hy=ç y=j w=w"
)
"""Open JTalk's phonemes."""
